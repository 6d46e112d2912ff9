"""Recording as a process has it: `init`, `keep`, `flush`, and what they set up. The only module-level state is here."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_fluxrun import registry
from pytest_fluxrun.config import Settings, load_settings, use_settings
from pytest_fluxrun.context import LANE, apart, current_lane, set_outside
from pytest_fluxrun.entry import Ending, Entry, set_opener
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.recording.dumping import Preamble, dump_preamble, read_by
from pytest_fluxrun.recording.earlier import EarlierReads
from pytest_fluxrun.recording.keep import keep_reason
from pytest_fluxrun.recording.orphans import Orphans
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.recording.sealing import Sealer, sealer_for
from pytest_fluxrun.recording.writer import Writer

__all__ = ["flush", "init", "keep", "recording_status"]

_log = logging.getLogger("pytest_fluxrun")
_MOST_WAITING = 16
"""With so many runs before it in the writer's queue, one that isn't kept is let go of."""


@dataclass(slots=True)
class _Finished:
    """A run waiting for the writer; without a reason to keep it, only for what it read."""

    recorder: Recorder
    ending: Ending
    reason: str


@dataclass(slots=True)
class _Service:
    """One process's recording."""

    settings: Settings
    sealer: Sealer
    preamble: Recorder
    orphans: Orphans
    dropped: Counter[str] = field(default_factory=Counter)
    logged: set[str] = field(default_factory=set)
    preamble_dump: Preamble | None = None
    draw: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    earlier: EarlierReads = field(init=False)
    writer: Writer[_Finished] = field(init=False)
    log_level: int = field(init=False)

    def __post_init__(self) -> None:
        self.log_level = logging.getLevelNamesMapping()[self.settings.log_level]
        self.earlier = EarlierReads(self.settings.max_earlier_bytes)
        self.writer = Writer(
            _apart(self.write),
            max_pending=self.settings.max_pending_runs,
            max_pending_bytes=self.settings.max_pending_bytes,
            dropped=self.dropped,
        )

    def open_run(self, name: str, entry: Entry) -> Recorder:
        """Begin a run; the first one ends the preamble."""
        self.end_start_up()
        return Recorder(
            name,
            entry.kind,
            self.finished,
            max_interactions=self.settings.max_run_interactions,
            max_bytes=self.settings.max_run_bytes,
            log_level=self.log_level,
            orphans=self.orphans,
        )

    def end_start_up(self) -> None:
        """End the preamble."""
        if not self.preamble.closed:
            self.preamble.close()

    def finished(self, recorder: Recorder, ending: Ending) -> None:
        """Judge by the keep rules and queue; called on the request's thread."""
        try:
            reason = keep_reason(
                ending,
                self.settings,
                duration_ns=recorder.ended_ns - recorder.mono_ns,
                by_hand=recorder.kept_by_hand,
                draw=self.draw() if self.settings.sample else 1.0,  # of the system's entropy: a call of the kernel
            )
            if reason or self._read_for_others(recorder):
                run = _Finished(recorder, ending, reason)
                if self.writer.submit(run, recorder.size_bytes(), awaited=bool(reason)):
                    return
        except Exception as failure:  # recording never raises into the host, whatever a framework put into the ending
            self.drop("keep-failed", failure)
        recorder.release()

    def _read_for_others(self, recorder: Recorder) -> bool:
        """Whether what a run read that nobody keeps is still wanted, and the writer has time to look at it."""
        return not (self.earlier.full or recorder.over_bound) and self.writer.pending < _MOST_WAITING

    def write(self, finished: _Finished) -> None:
        """Dump, redact, seal and store one run; called on the writer's thread."""
        try:
            if self.preamble_dump is None:
                self.preamble_dump = dump_preamble(
                    self.preamble, max_bytes=_preamble_bytes(self.settings), telemetry=self.settings.telemetry
                )
                self.preamble.release()
            if finished.reason:
                orphans = self.orphans.noted()
                self.sealer.store(
                    finished.recorder,
                    finished.ending,
                    self.preamble_dump,
                    finished.reason,
                    earlier=self.earlier,
                    orphans=orphans,
                )
                self.orphans.forget(orphans)
            elif not self.earlier.full:
                self.earlier.add(read_by(finished.recorder, self.settings))
        except FluxRunError as failure:
            self.drop(type(failure).__name__, failure)
        except Exception as failure:  # recording never raises into the host, whatever the app's objects do when dumped
            self.drop("dump-failed", failure)
        finally:
            finished.recorder.release()

    def drop(self, reason: str, failure: BaseException) -> None:
        """Count a lost run, and log the first of each cause."""
        self.dropped[reason] += 1
        if reason not in self.logged:
            self.logged.add(reason)
            _log.warning("FluxRun dropped a run (%s): %s", reason, failure)


_service: _Service | None = None


def init(**arguments: Any) -> None:
    """Start recording in this process: install the seams and the writer. Call it once, before the app is made.

    Under pytest it records nothing unless `record_under_pytest` is set, since tests provoke errors on purpose; without
    a token it says so once and records nothing. `FLUXRUN_DISABLED=1` patches nothing at all.

    Args:
        **arguments: settings, as in docs/reference/settings.md; they win over FLUXRUN_* variables and [tool.fluxrun].

    Raises:
        SettingsError: a setting is unknown or has a value that can't be used.
    """
    global _service  # noqa: PLW0603 - one recording per process
    settings = load_settings(arguments, environ=os.environ, start_dir=Path.cwd())
    use_settings(settings)
    if settings.disabled or _service is not None or (_under_pytest() and not settings.record_under_pytest):
        return
    lane = current_lane()
    if lane is not None:
        return
    sealer = sealer_for(settings)
    if sealer is None:
        return
    registry.install_seams()
    orphans = Orphans()
    preamble = Recorder(
        "",
        "",
        _ignore,
        preamble=True,
        max_interactions=settings.max_run_interactions,
        max_bytes=_preamble_bytes(settings),
        orphans=orphans,
    )
    _service = _Service(settings, sealer, preamble, orphans)
    set_outside(orphans)
    LANE.set(preamble.lane)
    at_exit = functools.partial(flush, settings.flush_at_exit_s)
    set_opener(_service.open_run, at_exit, start_up_ender=_service.end_start_up)
    atexit.register(at_exit)


def keep() -> None:
    """Keep the current run whatever its outcome. Outside a run it does nothing."""
    lane = current_lane()
    if lane is not None and isinstance(lane.session, Recorder):
        lane.session.kept_by_hand = True


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until every finished run is sealed and stored.

    Args:
        timeout_s: how long to wait at most.

    Returns:
        False if the time ran out first. True where nothing records.
    """
    return True if _service is None else _service.writer.flush(timeout_s)


def recording_status() -> dict[str, int]:
    """What was stored and dropped so far in this process, by reason; empty where nothing records.

    `orphans`, where there are any, counts the calls that reached no run; `fluxrun check` names them.
    """
    if _service is None:
        return {}
    orphans = {"orphans": _service.orphans.total} if _service.orphans.total else {}
    return {"stored": _service.sealer.stored, **_service.dropped, **orphans}


def _preamble_bytes(settings: Settings) -> int:
    """Half of what a run may have, for each run carries its preamble."""
    return settings.max_run_bytes // 2


def _ignore(recorder: Recorder, ending: Ending) -> None:
    """A preamble has no ending."""


def _apart(write: Callable[[_Finished], None]) -> Callable[[_Finished], None]:
    """`write`, whose own calls (to a store, say) are no calls of the app."""

    def write_apart(finished: _Finished) -> None:
        with apart():
            write(finished)

    return write_apart


def _after_fork_in_child() -> None:
    """A child forked in the middle of a run belongs to no run, since nobody will ever keep what it does.

    One forked before the first run, as servers do, goes on with the preamble that it has.
    """
    lane = current_lane()
    if lane is not None and not lane.session.preamble:
        LANE.set(None)
    if _service is not None:
        _service.orphans.clear()
        if not _service.preamble.closed:
            _service.preamble.renew()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _under_pytest() -> bool:
    """Whether this very process runs pytest; the variable alone is inherited by servers that tests start."""
    return "PYTEST_VERSION" in os.environ and "_pytest.config" in sys.modules


def _forget() -> None:
    """Stop recording in this process; for a forked child of pytest and for tests."""
    global _service  # noqa: PLW0603 - see init
    _service = None
    set_opener(None)
    set_outside(None)
