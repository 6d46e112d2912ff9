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
from pytest_fluxrun.context import LANE, current_lane
from pytest_fluxrun.entry import Ending, Entry, set_opener
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.recording.dumping import dump_preamble
from pytest_fluxrun.recording.keep import keep_reason
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.recording.sealing import Sealer, sealer_for
from pytest_fluxrun.recording.writer import Writer
from pytest_fluxrun.run import Recording

__all__ = ["flush", "init", "keep", "recording_status"]

_log = logging.getLogger("pytest_fluxrun")


@dataclass(frozen=True, slots=True)
class _Finished:
    """A run waiting for the writer."""

    recorder: Recorder
    ending: Ending
    reason: str


@dataclass(slots=True)
class _Service:
    """One process's recording."""

    settings: Settings
    sealer: Sealer
    preamble: Recorder
    dropped: Counter[str] = field(default_factory=Counter)
    logged: set[str] = field(default_factory=set)
    preamble_dump: Recording | None = None
    draw: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    writer: Writer[_Finished] = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(
            self.write,
            max_pending=self.settings.max_pending_runs,
            max_pending_bytes=self.settings.max_pending_bytes,
            dropped=self.dropped,
        )

    def open_run(self, name: str, entry: Entry) -> Recorder:
        """Begin a run; the first one ends the preamble."""
        if not self.preamble.closed:
            self.preamble.close()
        return Recorder(
            name,
            entry.kind,
            self.finished,
            max_interactions=self.settings.max_run_interactions,
            max_bytes=self.settings.max_run_bytes,
            log_level=logging.getLevelNamesMapping()[self.settings.log_level],
        )

    def finished(self, recorder: Recorder, ending: Ending) -> None:
        """Judge by the keep rules and queue; called on the request's thread."""
        try:
            reason = keep_reason(
                ending,
                self.settings,
                duration_ns=recorder.ended_ns - recorder.mono_ns,
                by_hand=recorder.kept_by_hand,
                draw=self.draw(),
            )
            if reason and self.writer.submit(_Finished(recorder, ending, reason), recorder.size_bytes()):
                return
        except Exception as failure:  # recording never raises into the host, whatever a framework put into the ending
            self.drop("keep-failed", failure)
        recorder.release()

    def write(self, finished: _Finished) -> None:
        """Dump, redact, seal and store one run; called on the writer's thread."""
        try:
            if self.preamble_dump is None:
                self.preamble_dump = dump_preamble(self.preamble)
                self.preamble.release()
            self.sealer.store(finished.recorder, finished.ending, self.preamble_dump, finished.reason)
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
    preamble = Recorder("", "", _ignore, preamble=True, max_interactions=settings.max_run_interactions)
    _service = _Service(settings, sealer, preamble)
    LANE.set(preamble.lane)
    at_exit = functools.partial(flush, settings.flush_at_exit_s)
    set_opener(_service.open_run, at_exit)
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
    """What was stored and dropped so far in this process, by reason; empty where nothing records."""
    if _service is None:
        return {}
    return {"stored": _service.sealer.stored, **_service.dropped}


def _ignore(recorder: Recorder, ending: Ending) -> None:
    """A preamble has no ending."""


def _under_pytest() -> bool:
    """Whether this very process runs pytest; the variable alone is inherited by servers that tests start."""
    return "PYTEST_VERSION" in os.environ and "_pytest.config" in sys.modules


def _forget() -> None:
    """Stop recording in this process; for a forked child of pytest and for tests."""
    global _service  # noqa: PLW0603 - see init
    _service = None
    set_opener(None)
