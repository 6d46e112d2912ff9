"""Confirming a non-pass before it is reported: the same run once more in a process that has replayed nothing.

The zygote is forked when the app is imported and nothing has run; where that loses threads, a fresh pytest answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_fluxrun.errors import RunNotReady
from pytest_fluxrun.execution.confirmation import Confirmation, confirm_forked, confirm_fresh, is_confirming
from pytest_fluxrun.execution.zygote import Zygote, lost_threads
from pytest_fluxrun.judgement.corpus import Placed, open_placed
from pytest_fluxrun.judgement.guard import GUARD_SUFFIX, Guard
from pytest_fluxrun.judgement.verdict import Judgement
from pytest_fluxrun.plugin.judging import canonical, judged
from pytest_fluxrun.run import HandAnswer, Run

if TYPE_CHECKING:
    import pytest

    from pytest_fluxrun.execution.stage import Shown
    from pytest_fluxrun.plugin.session import RunSession

__all__ = ["Confirmer"]

_SLACK_S = 20


class Confirmer:
    """One session's confirmations.

    Args:
        session: whose runs are confirmed.
    """

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._zygote: Zygote | None = None
        self._inside = is_confirming()

    def fork(self) -> None:
        """Fork the zygote, here and now; where threads would be lost, confirmations take a fresh process instead."""
        if self._inside or self._zygote is not None or lost_threads():
            return
        self._zygote = Zygote(self._work, keep=self._session.keep)

    def confirm(self, placed: Placed, nodeid: str, run: Run, judgement: Judgement) -> Confirmation | None:
        """What a clean process says of a run that didn't pass here; None in a process that is itself a confirmation."""
        if self._inside or self._session.config.getoption("fluxrun_no_confirm"):
            return None
        verdict = judgement.verdict.value
        deadline_s = self._session.settings.timeout_s + _SLACK_S
        anew = self._session.replay_anew(run)
        if anew is not None:
            seen = self._judged(run, anew, self._guard(placed))
            same = seen.verdict is judgement.verdict
            return Confirmation("fork", seen.verdict.value, seen.first_divergence, same)
        if self._zygote is not None:
            request = _request(placed, run)
            return confirm_forked(self._zygote, request, verdict=verdict, deadline_s=deadline_s)
        config = self._session.config
        return confirm_fresh(
            nodeid,
            config.rootpath,
            verdict=verdict,
            options=_options(config, self._session.directories),
            has_plugin=config.pluginmanager.hasplugin,
            timeout_s=deadline_s + _SLACK_S,
        )

    def isolated(self, placed: Placed, run: Run) -> Shown:
        """A replay in a process of its own, which has imported the app and replayed nothing.

        Raises:
            RunNotReady: no such process can be had, or it gave no answer.
            EntryNotFound: no imported module registers the run's entry.
        """
        from pytest_fluxrun.execution.evidence import Evidence
        from pytest_fluxrun.execution.stage import Shown

        self._session.prepare(run)
        anew = self._session.replay_anew(run)
        if anew is not None:
            return anew
        if self._inside:
            return self._session.replay_here(run)
        if self._zygote is None:
            raise _not_isolated(f"there are threads that a fork would lose: {', '.join(lost_threads())}")
        request = _request(placed, run)
        answer = self._zygote.ask(request, deadline_s=self._session.settings.timeout_s + _SLACK_S)
        if "evidence" not in answer:
            raise _not_isolated(str(answer.get("error", answer)))
        return Shown(evidence=Evidence.from_document(answer["evidence"]), stacks=str(answer["stacks"]))

    def close(self) -> None:
        """End the zygote."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _judged(self, run: Run, shown: Shown, guard: Guard | None) -> Judgement:
        config = self._session.config
        return judged(config, run, canonical(config, run, shown.evidence), guard, self._session.policy)

    def _guard(self, placed: Placed) -> Guard | None:
        return open_placed(placed, self._session.keyring)[1]

    def _work(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """In a child: replay one run on the app as it was imported."""
        self._inside = True
        directory = Path(request["directory"])
        placed = Placed(request["name"], directory, (directory / f"{request['name']}{GUARD_SUFFIX}").exists())
        run, guard = open_placed(placed, self._session.keyring)
        run = replace(run, answers=(*run.answers, *(HandAnswer(**one) for one in request["routes"])))
        shown = self._session.replay_here(run)
        judgement = self._judged(run, shown, guard)
        return {
            "verdict": judgement.verdict.value,
            "detail": judgement.first_divergence,
            "evidence": shown.evidence.to_document(),
            "stacks": shown.stacks,
        }


def _request(placed: Placed, run: Run) -> dict[str, Any]:
    """What a child of the zygote is told of a run: where it lies, and what routes have answered."""
    routes = [asdict(one) for one in run.answers if one.once]
    return {"name": placed.name, "directory": str(placed.bundle.parent), "routes": routes}


def _not_isolated(why: str) -> RunNotReady:
    return RunNotReady(
        "the run can't be replayed in a process of its own",
        reasons=("not-isolated",),
        why=why,
        next_step="leave --fluxrun-isolate out, or start no threads at import",
    )


def _options(config: pytest.Config, directories: Sequence[Path]) -> list[str]:
    """What of the session's own options a fresh pytest needs to collect and run the item as this one does."""
    options = [f"--fluxrun-dir={directory}" for directory in directories]
    if config.getoption("fluxrun_strict"):
        options.append("--fluxrun-strict")
    if config.inipath is not None:
        options += ["-c", str(config.inipath)]
    for setting in config.option.override_ini or ():
        options += ["-o", setting]
    for plugin in config.option.plugins:
        options += ["-p", plugin]
    return options
