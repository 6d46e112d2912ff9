"""One item's work: open the run, replay it, judge it, and say so in pytest's terms. Also the fixture's outcome."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_fluxrun import registry
from pytest_fluxrun.entry import registered
from pytest_fluxrun.errors import BundleError, FluxRunError, NoMatchingKey, RunNotReady
from pytest_fluxrun.execution.confirmation import write_answer
from pytest_fluxrun.execution.stage import Replayed
from pytest_fluxrun.judgement.comparison import body_of
from pytest_fluxrun.judgement.corpus import find_run, open_placed
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Judgement, Verdict, judge
from pytest_fluxrun.plugin.collection import RunItem
from pytest_fluxrun.plugin.session import RunSession, session_of
from pytest_fluxrun.report.failure import confirmation_line, failure_text
from pytest_fluxrun.run import Run

__all__ = ["Outcome", "ReplayFailed", "prepare", "replay_for_test", "run_item"]

_RUN: pytest.StashKey[tuple[Run, Guard | None]] = pytest.StashKey()


class ReplayFailed(Exception):
    """A verdict other than a pass, as the text to show."""


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
    """Open the item's run.

    Raises:
        FluxRunError: it is unready: damaged, locked, untrusted, missing.
    """
    session = _required_session(item.config)
    try:
        item.stash[_RUN] = open_placed(item.placed, session.keyring)
    except NoMatchingKey:
        if item.config.getoption("fluxrun_locked") == "skip":
            item.user_properties.append(("fluxrun.verdict", "locked"))
            pytest.skip("locked: no key here opens this run (--fluxrun-locked=skip)")
        _property(item, verdict="unready", reason="locked")
        raise
    except FluxRunError as error:
        _property(item, verdict="unready", reason=error.reason if isinstance(error, BundleError) else "missing")
        raise


def run_item(item: RunItem) -> None:
    """Replay the item's run and turn the verdict into pytest's.

    Raises:
        ReplayFailed: the verdict isn't a pass.
    """
    session = _required_session(item.config)
    run, guard = item.stash[_RUN]
    del item.stash[_RUN]
    try:
        replayed, judgement = _replay(session, run, guard, item.funcargs.get("fluxrun_app"))
    except FluxRunError as error:
        reason = ",".join(error.reasons) if isinstance(error, RunNotReady) else type(error).__name__
        _property(item, entry=run.entry, verdict="unready", reason=reason)
        raise
    _property(
        item,
        entry=run.entry,
        verdict=judgement.verdict.value,
        reason=judgement.reason,
        first_divergence=judgement.first_divergence,
    )
    write_answer(judgement.verdict.value, judgement.first_divergence)
    _conclude(item, session, run, guard, replayed, judgement)


def replay_for_test(request: pytest.FixtureRequest, app: Any) -> Outcome:
    """The outcome of the run that the test's mark names.

    Raises:
        pytest.UsageError: there is no mark, or no run directory.
    """
    mark = request.node.get_closest_marker("fluxrun")
    if mark is None or len(mark.args) != 1:
        raise pytest.UsageError(
            f'{request.node.nodeid} uses fluxrun_replay without @pytest.mark.fluxrun("<run id>"): the mark names the run'
        )
    session = session_of(request.config)
    if session is None:
        raise pytest.UsageError(
            f"{request.node.nodeid} uses fluxrun_replay, but no run directory is set: pass --fluxrun-dir=runs/ or set "
            "fluxrun_dir in the ini file"
        )
    run, guard = open_placed(find_run(session.directories, str(mark.args[0])), session.keyring)
    if request.node.get_closest_marker("fluxrun_expected_fix"):
        request.node.add_marker(pytest.mark.xfail(reason=f"run {run.id[:10]}: the fix is pending", strict=True))
    replayed, judgement = _replay(session, run, guard, app)
    return _outcome(replayed, judgement)


def _replay(session: RunSession, run: Run, guard: Guard | None, app: Any) -> tuple[Replayed, Judgement]:
    if app is not None and run.entry not in {entry.name for entry in registered()}:
        registry.instrument(app, name=run.entry)
    replayed = session.stage.replay(run)
    return replayed, judge(replayed.evidence, guard)


def _conclude(
    item: RunItem, session: RunSession, run: Run, guard: Guard | None, replayed: Replayed, judgement: Judgement
) -> None:
    if guard is not None and guard.pending:
        if judgement.verdict is Verdict.REPRODUCED:
            pytest.xfail(f"pending: {guard.title or 'the recorded failure is not fixed yet'}")
        if judgement.passed:
            raise ReplayFailed(
                f"[XPASS(strict)] the run {run.id[:10]} is fixed, but its guard still says pending.\n"
                f"  next:    remove `pending = true` from {item.placed.guard}"
            )
    if not judgement.passed:
        confirmation = session.confirmer.confirm(item.placed, item.nodeid, judgement)
        text = failure_text(run, guard, replayed, judgement, rerun=_rerun_line(item))
        raise ReplayFailed(f"{text}\n{confirmation_line(confirmation)}" if confirmation else text)


def _outcome(replayed: Replayed, judgement: Judgement) -> Outcome:
    outcome = replayed.evidence.outcome or {}
    response, error = outcome.get("response"), outcome.get("error")
    return Outcome(
        status=response["status"] if response else None,
        headers=tuple((name, value) for name, value in response["headers"]) if response else (),
        body=body_of(response) if response else None,
        returned=outcome.get("returned"),
        error=f"{error['type']}: {error['message']}" if error else "",
        verdict=judgement.verdict.value,
        drifts=tuple(f"{drift.kind}: {drift.text}" for drift in replayed.evidence.drifts),
    )


def _rerun_line(item: RunItem) -> str:
    directory = os.path.relpath(item.placed.bundle.parent, item.config.invocation_params.dir)
    return f"pytest --fluxrun-dir={directory} {directory}/{item.placed.bundle.name}::replay"


def _property(item: RunItem, **properties: str) -> None:
    item.user_properties.extend((f"fluxrun.{name}", value) for name, value in properties.items() if value)


def _required_session(config: pytest.Config) -> RunSession:
    session = session_of(config)
    assert session is not None
    return session
