"""`--fluxrun-update`: guard files rewritten to what a whole session saw; all of them or none, by the controller alone.

Workers hand what they saw over with their reports. Never touches a bundle, never records.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_fluxrun.errors import FluxRunError, GuardError
from pytest_fluxrun.plugin.collection import RunItem
from pytest_fluxrun.store import SUFFIX

if TYPE_CHECKING:
    from pytest_fluxrun.execution.confirmation import Confirmation
    from pytest_fluxrun.execution.evidence import Evidence
    from pytest_fluxrun.execution.stage import Shown
    from pytest_fluxrun.judgement.guard import Guard
    from pytest_fluxrun.judgement.verdict import Judgement

__all__ = ["Update", "forget_for_update", "keep_for_update", "update_of"]

_WHAT: Final = ("outcome", "drift")
_ATTRIBUTE: Final = "fluxrun_update"
"""Of a report: what the controller needs to know of a run. xdist carries attributes of reports, JUnit shows none."""
_SEEN: pytest.StashKey[dict[str, str]] = pytest.StashKey()
_MOST_NAMED: Final = 10


def update_of(config: pytest.Config, *, has_runs: bool) -> Update:
    """The plugin for a session that asks for an update.

    Raises:
        pytest.UsageError: the option can't be used, or the session would see only a part of the runs.
    """
    words = tuple(word.strip() for word in config.getoption("fluxrun_update").split(","))
    unknown = [word for word in words if word not in _WHAT]
    if unknown:
        raise _usage(f"{unknown[0]!r} is nothing that can be updated", "give outcome, drift, or outcome,drift")
    if not has_runs:
        raise _usage("there are no runs", "name their directory, --fluxrun-dir=runs")
    partial = next((f"{name} picks some of the tests" for name, given in _picking(config) if given), "")
    if partial:
        raise _usage(f"{partial}, and an update needs all runs", "leave it out, or `fluxrun accept` them one by one")
    return Update(config, outcome="outcome" in words, drift="drift" in words)


def _picking(config: pytest.Config) -> Generator[tuple[str, Any], None, None]:
    option = config.option
    yield "-k", option.keyword
    yield "-m", option.markexpr
    yield "--lf", getattr(option, "lf", False)
    yield "--stepwise", getattr(option, "stepwise", False)
    yield "--deselect", option.deselect
    yield "--collect-only", option.collectonly
    for argument in config.invocation_params.args:
        if not argument.startswith("-"):
            yield argument, argument.partition("::")[0].endswith(SUFFIX)


def _usage(why: str, next_step: str) -> pytest.UsageError:
    return pytest.UsageError(str(FluxRunError("--fluxrun-update can't be used", why=why, next_step=next_step)))


def keep_for_update(item: RunItem, guard: Guard | None, replayed: Shown, judgement: Judgement) -> None:
    """Keep what the item's replay means for its guard, where the session is to update guards."""
    update = item.config.pluginmanager.get_plugin("fluxrun-update")
    if isinstance(update, Update):
        item.stash[_SEEN] = update.seen(item, guard, replayed.evidence, judgement)


def forget_for_update(item: RunItem, confirmation: Confirmation) -> None:
    """A clean process says otherwise: what this one saw is due to what ran before."""
    if _SEEN in item.stash:
        why = f"state leaked between runs: a clean process says {confirmation.verdict or 'nothing'}"
        item.stash[_SEEN] = {"why": f"{why}; replay with --fluxrun-isolate"}


@dataclass(slots=True, eq=False)
class Update:
    """One session's update.

    Attributes:
        outcome: whether guards may state another outcome.
        drift: whether guards may allow the drift that failed.
    """

    config: pytest.Config
    outcome: bool
    drift: bool
    _seen: dict[str, dict[str, str]] = field(default_factory=dict)
    _crashed: str = ""
    _lines: list[str] = field(default_factory=list)

    def seen(self, item: RunItem, guard: Guard | None, evidence: Evidence, judgement: Judgement) -> dict[str, str]:
        """A guard's file, text and new text; or why it stays as it is; nothing where it is met."""
        from pytest_fluxrun.judgement.acceptance import is_met, updated
        from pytest_fluxrun.judgement.guard import rewritten
        from pytest_fluxrun.plugin.session import session_of

        session = session_of(self.config)
        if guard is None or item.placed.guard is None or session is None:
            return {} if judgement.passed else {"why": f"it has no guard: `fluxrun expect {item.placed.run_id[:10]}`"}
        if is_met(judgement, guard):
            return {}
        try:
            new = updated(evidence, guard, session.policy, outcome=self.outcome, drift=self.drift)
            before = item.placed.guard.read_text(encoding="utf-8")
            text = rewritten(before, new)
        except GuardError as error:
            return {"why": f"{error.why}; {error.next_step}"}
        if new == guard:
            return {}
        return {
            "path": str(item.placed.guard),
            "before": before,
            "after": text,
        }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what was seen on the report, which goes to the controller."""
        report = yield
        if isinstance(item, RunItem) and call.when != "teardown":
            seen = item.stash.get(_SEEN, None)
            if seen is not None:
                del item.stash[_SEEN]
            elif call.excinfo is not None or call.when == "call":
                seen = {"why": f"it wasn't replayed: {report.outcome} in {call.when}"}
            if seen is not None:
                setattr(report, _ATTRIBUTE, seen | {"bundle": str(item.placed.bundle)})
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the reports, of workers too."""
        seen = getattr(report, _ATTRIBUTE, None)
        if seen is not None:
            self._seen[seen["bundle"]] = seen

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """See xdist: a worker has ended, by a crash where there is an error."""
        if error:
            self._crashed = str(node.gateway.id)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the guards, or say why not; a session that was refused isn't green."""
        if hasattr(self.config, "workerinput"):
            return
        from pytest_fluxrun.judgement.guard import replace_guards

        changes = {Path(one["path"]): (one["before"], one["after"]) for one in self._seen.values() if "path" in one}
        refusal = self._refusal(session, exitstatus)
        if not refusal:
            try:
                replace_guards(changes)
            except GuardError as error:
                refusal = str(error)
        if refusal:
            self._lines = [refusal]
            if exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        else:
            self._lines = list(self._told(changes))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The diff of each guard, those that stay as they are with the reason, or why no guard was changed."""
        terminalreporter.write_sep("=", "fluxrun update")
        for line in self._lines:
            terminalreporter.write_line(line)

    def _refusal(self, session: pytest.Session, exitstatus: int) -> str:
        why = ""
        if self._crashed:
            why = f"the worker {self._crashed} crashed"
        elif exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            why = f"the session didn't end well (exit code {int(exitstatus)})"
        elif session.shouldstop or session.shouldfail:
            why = f"the session ended early: {session.shouldstop or session.shouldfail}"
        elif missing := self._missing():
            named = ", ".join(missing[:_MOST_NAMED])
            why = f"{len(missing)} runs gave no result: {named}{' …' if len(missing) > _MOST_NAMED else ''}"
        if not why:
            return ""
        return str(FluxRunError("no guard was changed", why=why, next_step="run the whole session again, to its end"))

    def _missing(self) -> list[str]:
        from pytest_fluxrun.judgement.corpus import all_placed
        from pytest_fluxrun.plugin.session import session_of

        session = session_of(self.config)
        placed = () if session is None else all_placed(session.directories)
        return [one.name for one in placed if str(one.bundle) not in self._seen]

    def _told(self, changes: dict[Path, tuple[str, str]]) -> Generator[str, None, None]:
        from pytest_fluxrun.judgement.acceptance import unified_diff
        from pytest_fluxrun.report.plain_text import printable

        for path, (before, after) in sorted(changes.items()):
            name = (
                str(path.relative_to(self.config.rootpath)) if path.is_relative_to(self.config.rootpath) else str(path)
            )
            yield from (printable(line) for line in unified_diff(before, after, name))
        kept = {Path(bundle).stem: seen["why"] for bundle, seen in sorted(self._seen.items()) if "why" in seen}
        for name, why in kept.items():
            yield f"not updated: {name}: {printable(' '.join(why.split()))}"
        yield f"guards changed: {len(changes)}; runs that don't pass and keep theirs: {len(kept)}"
        if changes:
            yield "Review the changes above before you commit them; the next session is judged by them."
