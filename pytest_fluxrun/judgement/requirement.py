"""What a session, or a report of one, must hold for a gate to be green: a number of runs, runs by id, or every guard.

Pure but for `listed_in`, which reads names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.judgement.corpus import scan
from pytest_fluxrun.judgement.guard_list import LIST_NAME, read_list

__all__ = ["Ended", "Listed", "Requirement", "listed_in", "unmet"]

EVERY: Final = "all"
_SHORTEST_ID: Final = 6
_RUN_ID_LENGTH: Final = 26
_MOST_NAMES: Final = 5


class Ended(StrEnum):
    """How a run ended in a session, as its gate counts it."""

    PASSED = "passed"
    FAILED = "failed"
    PENDING = "pending"
    UNREADY = "unready"
    LOCKED = "locked"
    SKIPPED = "skipped"


_REPLAYED: Final = frozenset({Ended.PASSED, Ended.FAILED, Ended.PENDING})


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must have been replayed.

    Attributes:
        number: of runs that guard something now; pending ones don't.
        runs: ids, or beginnings of ids.
        every: every guard of the directories, and every name on their lists.
    """

    number: int = 0
    runs: tuple[str, ...] = ()
    every: bool = False

    def __bool__(self) -> bool:
        return bool(self.number or self.runs or self.every)

    def __str__(self) -> str:
        return EVERY if self.every else " ".join(self.runs) or str(self.number)

    @classmethod
    def parsed(cls, text: str, *, source: str) -> Requirement:
        """What a setting says: a number, ids separated by space, or `all`.

        Args:
            source: the setting, for the message.

        Raises:
            SettingsError: it is none of them.
        """
        words = text.split()
        if words == [EVERY]:
            return cls(every=True)
        if len(words) == 1 and words[0].isascii() and words[0].isdigit() and len(words[0]) < _SHORTEST_ID:
            return cls(number=int(words[0]))
        for word in words:
            if not re.fullmatch(rf"[0-9a-hjkmnp-tv-z]{{{_SHORTEST_ID},{_RUN_ID_LENGTH}}}", word):
                raise SettingsError(
                    f"{source} {text!r} can't be used",
                    why=f"{word!r} is neither a number of runs nor a run id nor `{EVERY}`",
                    next_step=f"write a number, `{EVERY}`, or ids as `fluxrun list` shows them, separated by spaces",
                )
        return cls(runs=tuple(words))


@dataclass(frozen=True, slots=True)
class Listed:
    """A run directory as `all` sees it.

    Attributes:
        shown: the directory, for messages.
        guards: names of the guards that are there.
        names: on its list; None where it has none.
    """

    shown: str
    guards: frozenset[str]
    names: frozenset[str] | None


def listed_in(directory: Path, shown: str) -> Listed:
    """Read a directory's guards and list, by name.

    Raises:
        FluxRunError: the directory isn't there.
        GuardError: the list can't be used.
    """
    guards = frozenset(placed.name for placed in scan(directory) if placed.guarded)
    return Listed(shown, guards, read_list(directory))


def unmet(requirement: Requirement, ended: Mapping[str, Ended], listed: Sequence[Listed] = ()) -> str:
    """Why the requirement isn't met, with what to do, or "".

    Args:
        ended: by run id, how each run ended.
        listed: the run directories, for `all`.
    """
    if not requirement:
        return ""
    replayed = {run for run, how in ended.items() if how in _REPLAYED}
    pending = {run for run, how in ended.items() if how is Ended.PENDING}
    return next(_reasons(requirement, replayed, pending, _others(ended), listed), "")


def _reasons(
    requirement: Requirement, replayed: set[str], pending: set[str], others: str, listed: Sequence[Listed]
) -> Iterator[str]:
    if len(replayed - pending) < requirement.number:
        besides = f", {len(pending)} of them pending, which guard nothing yet" if pending else ""
        yield (
            f"{len(replayed)} runs were replayed{besides}, {requirement.number} are required{others}: check "
            "--fluxrun-dir, -k and -m, or lower --fluxrun-require (fluxrun_require in the ini file)."
        )
    absent = [run for run in requirement.runs if not any(seen.startswith(run) for seen in replayed)]
    if absent:
        yield (
            f"required runs were not replayed: {_some(absent)}{others}. Fetch them with `fluxrun pull`, or correct "
            "fluxrun_require in the ini file."
        )
    if requirement.every:
        yield from _unmet_lists(listed, replayed, others)
    if replayed and replayed == pending:
        yield (
            f"every run that was replayed is pending ({len(pending)}): none of them guards anything yet. Fix one and "
            "remove `pending = true` from its guard, or require none until then."
        )


def _unmet_lists(listed: Sequence[Listed], replayed: set[str], others: str) -> Iterator[str]:
    for one in listed:
        where = f"{one.shown}/{LIST_NAME}"
        if one.names is None:
            yield f"all guards are required, but there is no {where} to say which: write it with `fluxrun require`."
            continue
        if not one.names:
            yield f"all guards are required, and {where} lists none: a gate on no guards proves nothing."
        gone, unlisted = one.names - one.guards, one.guards - one.names
        if gone:
            yield (
                f"guards on {where} are not there: {_some(sorted(gone))}. Restore them from version control; where one "
                "was deleted on purpose, take it off the list with `fluxrun require`."
            )
        if unlisted:
            yield f"guards are not on {where}: {_some(sorted(unlisted))}. Put them there with `fluxrun require`."
        missed = sorted(name for name in one.names if name[-_RUN_ID_LENGTH:] not in replayed)
        if missed:
            yield (
                f"{len(missed)} of {len(one.names)} guards on {where} were not replayed{others}: {_some(missed)}. "
                "Check -k, -m and the paths given to pytest; fetch bundles with `fluxrun pull`."
            )
    if not listed:
        yield "all guards are required, and no run directory is named: pass --fluxrun-dir, or set fluxrun_dir."


def _others(ended: Mapping[str, Ended]) -> str:
    """` (2 locked, 1 skipped)`: what didn't count, or ""."""
    counts = {how: sum(one is how for one in ended.values()) for how in Ended if how not in _REPLAYED}
    text = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
    return f" ({text})" if text else ""


def _some(names: Iterable[str]) -> str:
    """The first few of some names, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return ", ".join(known[:_MOST_NAMES]) + more
