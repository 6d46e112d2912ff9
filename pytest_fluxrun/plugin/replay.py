"""One item's work: open the run, replay it, judge it, and say so in pytest's terms. Also the fixture's outcome."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_fluxrun import registry
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.entry import registered
from pytest_fluxrun.errors import BundleError, EntryNotFound, FluxRunError, NoMatchingKey, RunNotFound, RunNotReady
from pytest_fluxrun.execution.confirmation import write_answer
from pytest_fluxrun.execution.stage import Shown
from pytest_fluxrun.judgement.comparison import body_of
from pytest_fluxrun.judgement.corpus import find_run, open_placed
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Judgement, Verdict
from pytest_fluxrun.plugin.collection import ReplayFailed, RunItem
from pytest_fluxrun.plugin.debugging import raised_by_the_app, stop_before
from pytest_fluxrun.plugin.github import in_github
from pytest_fluxrun.plugin.judging import canonical, judged, sections
from pytest_fluxrun.plugin.routes import replayed_with_routes
from pytest_fluxrun.plugin.session import RunSession, session_of
from pytest_fluxrun.plugin.update import forget_for_update, keep_for_update
from pytest_fluxrun.report.described import LONGEST
from pytest_fluxrun.report.failure import confirmation_line, failure_text
from pytest_fluxrun.report.plain_text import bounded
from pytest_fluxrun.run import Run

if TYPE_CHECKING:
    from pytest_fluxrun.plugin.reporting import Reporting

__all__ = ["Outcome", "prepare", "replay_for_test", "run_item"]

_OF_NO_BOUNDARY = frozenset({DriftKind.START_UP, DriftKind.AGED, DriftKind.DERIVED_VALUE})
_MOST_DRIFT = 20

_RUN: pytest.StashKey[tuple[Run, Guard | None]] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the fixture `fluxrun_replay` gives.

    Attributes:
        status: HTTP status, or None for functions.
        headers: of the response, in order, as sent.
        body: of the response: parsed JSON, else text or bytes.
        returned: the function's return value, as plain data.
        error: what was raised, as `module:qualname: message`, or "".
        verdict: the judgement by the run's guard, or without one.
        drifts: one line each.
    """

    status: int | None
    headers: tuple[tuple[str, str], ...]
    body: Any
    returned: Any
    error: str
    verdict: str
    drifts: tuple[str, ...]


def prepare(item: RunItem) -> None:
    """Open the item's run and start the app that it is replayed on.

    Raises:
        FluxRunError: it is unready: damaged, locked, untrusted, missing, or the app can't take it.
    """
    session = _required_session(item.config)
    try:
        run, guard = open_placed(item.placed, session.keyring)
        _property(item, entry=run.entry)
        if reporting := _reporting(item):
            reporting.keep_opened(item, run, guard)
        _make_ready(session, run, item.funcargs.get("fluxrun_app"))
        if in_github(os.environ):
            from pytest_fluxrun.plugin.reporting import entry_place  # and with it all of the reports' models

            place = entry_place(run, item.config.rootpath)
            _property(item, entry_place=f"{place.path}:{place.line}" if place else "")
    except NoMatchingKey:
        if item.config.getoption("fluxrun_locked") == "skip":
            _property(item, verdict="locked")
            pytest.skip("locked: no key here opens this run (--fluxrun-locked=skip)")
        _property(item, verdict="unready", reason="locked")
        raise
    except FluxRunError as error:
        _property(item, verdict="unready", reason=reason_of(error))
        raise
    item.stash[_RUN] = run, guard


def run_item(item: RunItem) -> None:
    """Replay the item's run and turn the verdict into pytest's.

    Raises:
        ReplayFailed: the verdict isn't a pass.
        FluxRunError: a seam was displaced during the replay.
    """
    session = _required_session(item.config)
    if _RUN not in item.stash:
        prepare(item)  # the same item once more in a row: pytest has set it up only once
    run, guard = item.stash[_RUN]
    del item.stash[_RUN]
    try:
        with raised_by_the_app(item.config) as tracebacks:
            run, replayed, judgement, confirmable = _judged(session, item, run, guard)
    except FluxRunError as error:
        _property(item, verdict="unready", reason=reason_of(error))
        raise
    _property(
        item,
        verdict=judgement.verdict.value,
        reason=judgement.reason,
        judged=_judged_as(guard, judgement),
        first_divergence=judgement.first_divergence,
        drift=_drift_counts(replayed, judgement),
        start_up=_said(replayed, DriftKind.START_UP),
        aged=_said(replayed, DriftKind.AGED),
        unused_rules="; ".join(judgement.unused_rules),
    )
    write_answer(judgement.verdict.value, judgement.first_divergence)
    reporting = _reporting(item)
    if reporting is not None:
        reporting.keep_judged(item, run, replayed.evidence, judgement, rerun=_rerun_line(item))
    _list_telemetry(item, replayed)
    for title, text in sections(item.config, run, judgement):
        item.add_report_section("call", title, text)
    keep_for_update(item, guard, replayed, judgement)
    if guard is not None and guard.pending:
        _conclude_pending(item, run, guard, judgement)
    if not judgement.passed:
        confirmation = session.confirmer.confirm(item.placed, item.nodeid, run, judgement) if confirmable else None
        if reporting is not None and confirmation is not None:
            reporting.keep_confirmation(item, confirmation)
        if confirmation is not None and not confirmation.same:
            forget_for_update(item, confirmation)
        text = failure_text(run, guard, replayed, judgement, rerun=_rerun_line(item))
        told = f"{text}\n{confirmation_line(confirmation)}" if confirmation else text
        raise ReplayFailed(told).with_traceback(tracebacks[-1] if tracebacks else None)


def _judged_as(guard: Guard | None, judgement: Judgement) -> str:
    """How the gate counts the run, whatever marks and hooks make of its report."""
    if guard is None or not guard.pending:
        return "passed" if judgement.passed else "failed"
    return "pending" if judgement.verdict is Verdict.REPRODUCED else "failed"


def _drift_counts(replayed: Shown, judgement: Judgement) -> str:
    """`kind boundary` of each drift, with how often: `missing-read httpx 2; start-up 1`."""
    drifts = (*judgement.notes, *replayed.evidence.drifts)
    counts = Counter(
        drift.kind.value if drift.kind in _OF_NO_BOUNDARY else f"{drift.kind} {_of_boundary(drift)}" for drift in drifts
    )
    return "; ".join(f"{name} {count}" for name, count in counts.most_common(_MOST_DRIFT))


def _of_boundary(drift: Drift) -> str:
    """The boundary's name, as which a bundle may hold any text: nothing in it that the counts are told apart by."""
    return re.sub(r"[^\w:.()-]", "_", drift.text.partition(" ")[0])


def _judged(session: RunSession, item: RunItem, run: Run, guard: Guard | None) -> tuple[Run, Shown, Judgement, bool]:
    """The run with what routes answered, its replay, its judgement, and whether a clean process could say more.

    What doesn't pass is replayed once more, in a clean process, where the app had started from the preamble of another
    process: the times in it differ at least.
    """
    router: Any = item.funcargs.get("fluxrun_respx")
    if session.config.getoption("fluxrun_isolate"):
        run, shown = replayed_with_routes(run, router, lambda run: session.confirmer.isolated(item.placed, run))
        return run, *_with_judgement(session, run, shown, guard), False
    stop_before(session.config)
    run, shown = replayed_with_routes(run, router, session.replay)
    shown, judgement = _with_judgement(session, run, shown, guard)
    settled = judgement.passed or judgement.verdict is Verdict.REPRODUCED  # as recorded, so that no time mattered
    exact = None if settled else session.replay_exactly(run)
    if exact is None:
        return run, shown, judgement, True
    return run, *_with_judgement(session, run, exact, guard), False


def _with_judgement(session: RunSession, run: Run, shown: Shown, guard: Guard | None) -> tuple[Shown, Judgement]:
    """A replay as it is compared, and its judgement."""
    shown = replace(shown, evidence=canonical(session.config, run, shown.evidence))
    return shown, judged(session.config, run, shown.evidence, guard, session.policy)


def replay_for_test(request: pytest.FixtureRequest, app: Any) -> Outcome:
    """The outcome of the run that the test's mark names. What stands in the way is an error of one paragraph."""
    problem = ""
    try:
        return _replay_for_test(request, app)
    except FluxRunError as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


def _replay_for_test(request: pytest.FixtureRequest, app: Any) -> Outcome:
    session, wanted = _asked_for(request)
    run, guard = open_placed(find_run(session.directories, wanted), session.keyring)
    _make_ready(session, run, app)
    router = request.getfixturevalue("fluxrun_respx") if "fluxrun_respx" in request.fixturenames else None
    _, replayed = replayed_with_routes(run, router, session.replay)
    if request.node.get_closest_marker("fluxrun_expected_fix"):
        request.node.add_marker(pytest.mark.xfail(reason=f"run {run.id[:10]}: the fix is pending", strict=True))
    return _outcome(*_with_judgement(session, run, replayed, guard))


def reason_of(error: FluxRunError) -> str:
    """The stable code of what made a run unready, as JUnit and readiness show it."""
    match error:
        case BundleError():
            return error.reason
        case RunNotReady():
            return ",".join(error.reasons)
        case EntryNotFound():
            return "entry-not-found"
        case RunNotFound():
            return "missing"
        case _:
            return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def _asked_for(request: pytest.FixtureRequest) -> tuple[RunSession, str]:
    """The session, and the run that the test's mark names."""
    mark = request.node.get_closest_marker("fluxrun")
    if mark is None or len(mark.args) != 1:
        raise FluxRunError(
            f"{request.node.nodeid} takes fluxrun_replay, but no run is named",
            why="the mark that names it is missing or has no argument",
            next_step='put @pytest.mark.fluxrun("<run id>") on the test; `fluxrun list` shows the ids',
        )
    session = session_of(request.config)
    if session is None:
        raise FluxRunError(
            f"{request.node.nodeid} takes fluxrun_replay, but there are no runs",
            why="no run directory is set",
            next_step="pass --fluxrun-dir=runs/ beside the path of the test, or set fluxrun_dir in the ini file",
        )
    return session, str(mark.args[0])


def _make_ready(session: RunSession, run: Run, app: Any) -> None:
    if run.entry not in {entry.name for entry in registered()}:
        if app is None:
            app = session.config.hook.pytest_fluxrun_resolve_entry(config=session.config, entry=run.entry)
        if app is not None:
            registry.instrument(app, name=run.entry)
    session.prepare(run)


def _conclude_pending(item: RunItem, run: Run, guard: Guard, judgement: Judgement) -> None:
    """Turn the recorded failure into an expected one, and a fix into a strict XPASS."""
    if judgement.verdict is Verdict.REPRODUCED:
        pytest.xfail(f"pending: {guard.title or 'the recorded failure is not fixed yet'}")
    if judgement.passed:
        raise ReplayFailed(
            f"[XPASS(strict)] the run {run.id[:10]} is fixed, but its guard still says pending.\n"
            f"  next:    remove `pending = true` from {_relative(item, item.placed.guard or item.path)}"
        )


def _outcome(replayed: Shown, judgement: Judgement) -> Outcome:
    outcome = replayed.evidence.outcome or {}
    response, error = outcome.get("response"), outcome.get("error")
    return Outcome(
        status=response["status"] if response else None,
        headers=tuple((name, value) for name, value in response["headers"]) if response else (),
        body=body_of(response) if response else None,
        returned=outcome.get("returned"),
        error=f"{error['type']}: {error['message']}" if error else "",
        verdict=judgement.verdict.value,
        drifts=tuple(f"{drift.kind}: {drift.text}" for drift in (*judgement.notes, *replayed.evidence.drifts)),
    )


def _list_telemetry(item: RunItem, replayed: Shown) -> None:
    """What instruments didn't send, as a section of the item's report: `-rA` shows it for runs that pass."""
    dropped = replayed.evidence.telemetry
    if dropped:
        item.add_report_section("call", "fluxrun", "\n".join(f"telemetry dropped: {text}" for text in dropped))


def _said(replayed: Shown, kind: DriftKind) -> str:
    return "; ".join(drift.text for drift in replayed.evidence.drifts if drift.kind is kind)


def _rerun_line(item: RunItem) -> str:
    bundle = item.placed.bundle
    words = [f"--fluxrun-dir={_relative(item, bundle.parent)}", f"{_relative(item, bundle)}::replay"]
    return " ".join(["pytest", *map(shlex.quote, words)])


def _reporting(item: RunItem) -> Reporting | None:
    """The session's reports, where it was asked for some."""
    plugin: Reporting | None = item.config.pluginmanager.get_plugin("fluxrun-report")
    return plugin


def _relative(item: RunItem, path: Path) -> str:
    """A path as the user would type it: from where pytest was called."""
    return os.path.relpath(path, item.config.invocation_params.dir)


def _property(item: RunItem, **properties: str) -> None:
    item.user_properties.extend(
        (f"fluxrun.{name}", bounded(value, LONGEST)) for name, value in properties.items() if value
    )


def _required_session(config: pytest.Config) -> RunSession:
    session = session_of(config)
    assert session is not None
    return session
