"""The stage: one process's app, booted once on one event loop, on which runs are replayed one after another."""

from __future__ import annotations

import asyncio
import datetime  # noqa: ICN001 - its classes are looked up as the app's are, not copied
import platform
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pytest_fluxrun import ambient, patching, registry, telemetry
from pytest_fluxrun.boundary import Boundary, Request
from pytest_fluxrun.context import entered
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.entry import RegisteredEntry, registered_entry
from pytest_fluxrun.errors import DeadlineExceeded, EntryNotFound, FluxRunError, RunNotReady
from pytest_fluxrun.execution.deadline import Deadline
from pytest_fluxrun.execution.digests import digests_of_answers, recorded_digests, served, unlike
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.execution.preamble import start_up_drifts
from pytest_fluxrun.fence import Fence
from pytest_fluxrun.places import calling_code
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.missing import call_name
from pytest_fluxrun.replaying.replayer import Played, Replayer
from pytest_fluxrun.replaying.traveller import travelling
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording, Run
from pytest_fluxrun.values import encode_or_opaque

__all__ = ["Replayed", "Shown", "Stage", "refuse_unready"]

T = TypeVar("T")
_START_UP_ALLOWANCE = 3
"""How many deadlines of a replay import and lifespan may take: they run once, and cold."""
_EMPTY = Recording(wall_ns=0, mono_ns=0, perf_ns=0, duration_ns=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A replay that has ended, wherever it was: what it showed, and what hung at its deadline."""

    evidence: Evidence
    stacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed(Shown):
    """A replay in this process: also the session, for those who want every call."""

    replayer: Replayer


class Stage:
    """Boots the project's entries once and replays runs on them. Not thread-safe.

    Args:
        modules: imported to register entries, in order.
        root: put on `sys.path` for them.
        timeout_s: deadline of one replay.
        keep: sockets of the test run itself, from `fence.baseline()` at its start.
        dropped: addresses to which calls are telemetry, as the setting `telemetry` lists them.
        allow_write: what the app may write during a replay; relative paths count from `root`.
        imported: called once, when the modules are imported and nothing has run.
        watch: is shown each crossing of a driven run as it is answered, on the thread that makes it.
    """

    def __init__(
        self,
        modules: Sequence[str],
        *,
        root: Path,
        timeout_s: float,
        keep: frozenset[int] = frozenset(),
        allow_write: Sequence[str] = (),
        dropped: Sequence[str] = (),
        imported: Callable[[], None] = lambda: None,
        watch: Callable[[Played], object] = lambda _: None,
    ) -> None:
        self._loop: event_loop.VirtualLoop | None = None
        self._when_imported = imported
        self._watch = watch
        self._start_up_failure: RunNotReady | None = None
        self._modules = tuple(modules)
        self._root = root
        self._timeout_s = timeout_s
        self._keep = keep
        self._allow_write = tuple(root / path for path in allow_write)
        self._dropped = telemetry.Addresses(dropped)
        self._imported = False
        self._booted: dict[str, Callable[[], None]] = {}
        self._preamble: Recording | None = None
        self._starters: list[Replayer] = []
        self._start_up_drifts: tuple[Drift, ...] = ()
        self.kept_tasks: list[asyncio.Task[Any]] = []
        registry.install_replay_seams()
        telemetry.drop_from_now_on()

    @property
    def loop(self) -> event_loop.VirtualLoop:
        """The loop that outlives the items, made on first use, so that a child forked after the import shares none."""
        if self._loop is None:
            self._loop = event_loop.VirtualLoop()
        return self._loop

    def prepare(self, run: Run) -> RegisteredEntry:
        """Do all that comes before a run is driven: refuse what isn't ready, import the modules, start the entry.

        Raises:
            RunNotReady: something known stands in the way; nothing was driven.
            EntryNotFound: no imported module registers the run's entry.
        """
        refuse_unready(run)
        if not self._imported:
            _ = platform.uname().processor  # runs `uname -p` once a process, which the SDKs of models do in a request
        ambient.install()
        _refuse_displaced()
        registered = self._boot(run)
        _refuse_unreplayable()
        if registered.entry.kind != run.entry_kind:
            raise EntryNotFound(
                f"entry {run.entry!r} is registered as {registered.entry.kind}, recorded as {run.entry_kind}",
                next_step="register the recorded kind of entry under that name again",
            )
        return registered

    def replay(self, run: Run) -> Replayed:
        """Drive a run's entry from its recording and gather what it showed.

        Where the app makes digests of redacted secrets, and the outcome shows more of them than the digests (a QR code
        of a signed address), it is driven once more with the recorded ones, which the recorded outcome tells; where it
        goes another way, since it compares one by itself, with those that an answer may have told it.

        Raises:
            RunNotReady: as `prepare`, or a seam was displaced on the way, so that what was shown proves nothing.
            EntryNotFound: as `prepare`.
        """
        registered = self.prepare(run)
        replayed = self._drive(run, registered)
        digests = recorded_digests(replayed.evidence)
        if digests:
            replayed = self._nearer(replayed, self._drive(run, registered, digests))
        if replayed.evidence.derived and unlike(replayed.evidence):
            for guess in digests_of_answers(replayed.evidence, run.recording):
                replayed = self._nearer(replayed, self._drive(run, registered, guess))
                if not unlike(replayed.evidence):
                    break
        _refuse_displaced()
        return replayed

    @staticmethod
    def _nearer(one: Replayed, other: Replayed) -> Replayed:
        """The replay whose outcome is more like the recorded one; the first where they are alike."""
        return other if unlike(other.evidence) < unlike(one.evidence) else one

    def close(self) -> None:
        """Shut the booted entries down and close the loop."""
        for shut_down in self._booted.values():
            shut_down()
        self._booted.clear()
        for task in self.kept_tasks:
            task.cancel()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _boot(self, run: Run) -> RegisteredEntry:
        """Import the modules and start the entry, answered from the preamble of the first run of all."""
        if self._imported and run.entry in self._booted:
            return registered_entry(run.entry, run.entry_kind)
        recording = self._preamble = self._preamble or run.preamble or _EMPTY
        clock = VirtualClock()
        replayer = Replayer(
            recording, run_id=run.id, shared=Answers(recording), clock=clock, preamble=True, dropped=self._dropped
        )
        driving = _Driving(self, replayer, clock)
        if self._start_up_failure is not None:
            raise self._start_up_failure
        try:
            if not self._imported:
                with self._starting(replayer, clock):
                    self._import(driving)
                self._when_imported()
            with self._starting(replayer, clock, self.loop):
                registered = driving.call(lambda: registered_entry(run.entry, run.entry_kind))
                self._booted[run.entry] = registered.entry.boot(registered.target, driving)
        except RunNotReady as error:
            self._start_up_failure = error
            raise
        clock.release()
        if self._loop is not None:
            self.kept_tasks.extend(self._loop.take_tasks())  # of start-up: the run that comes first doesn't end them
        replayer.returned = True
        self._starters.append(replayer)
        self._start_up_drifts = start_up_drifts(recording, self._starters)
        return registered

    @contextmanager
    def _starting(
        self, replayer: Replayer, clock: VirtualClock, loop: asyncio.AbstractEventLoop | None = None
    ) -> Iterator[None]:
        """Around one step of start-up: fenced, with a deadline, and whatever stops it is a RunNotReady."""
        fence, limit_s = self._fence(), _START_UP_ALLOWANCE * self._timeout_s
        try:
            with fence, Deadline(limit_s, clock=clock, loop=loop), _no_bytecode():
                yield
        except FluxRunError:
            self._refuse_start_up(replayer, tuple(map(str, fence.attempts)), failed=True)
            raise
        except DeadlineExceeded as error:
            _refuse_unreplayable()
            raise RunNotReady(
                "the app's start-up gave no result in time",
                reasons=("start-up-deadline",),
                why=str(error),
                next_step="make import and lifespan wait for nothing outside, or raise the setting timeout_s",
            ) from error
        except (Exception, SystemExit) as error:  # the app's modules run here, and may raise anything
            _refuse_unreplayable()
            self._refuse_start_up(replayer, tuple(map(str, fence.attempts)), failed=True)
            raise RunNotReady(
                f"the app can't be started: {type(error).__name__}{_place_of(error, self._root)}",
                reasons=("start-up-failed",),
                why=str(error),
                next_step=f"make `python -c 'import {', '.join(self._modules)}'` work in {self._root}",
            ) from error
        self._refuse_start_up(replayer, tuple(map(str, fence.attempts)), failed=False)

    def _fence(self) -> Fence:
        return Fence(project=self._root, keep=self._keep, allow_write=self._allow_write)

    def _import(self, driving: _Driving) -> None:
        root = str(self._root)
        if root not in sys.path:
            sys.path.insert(0, root)
        for module in self._modules:
            driving.call(lambda name=module: import_module(name))  # type: ignore[misc]  # bound by default argument
        self._imported = True

    @staticmethod
    def _refuse_start_up(replayer: Replayer, leaks: tuple[str, ...], *, failed: bool) -> None:
        if leaks:
            raise RunNotReady(
                "the app's start-up attempted a live side effect",
                reasons=("start-up-leaked",),
                why=leaks[0],
                next_step="move it behind a boundary, or out of import and lifespan",
            )
        if failed and replayer.unrecorded is not None:
            raise RunNotReady(
                "the app's start-up asks for what the preamble lacks, and fails without it",
                reasons=("start-up-unrecorded",),
                why=f"it asks {replayer.unrecorded.asked}",
                next_step="record again with this start-up, or make it need nothing from outside",
            )

    def _drive(
        self, run: Run, registered: RegisteredEntry, digests: Mapping[str, str] = MappingProxyType({})
    ) -> Replayed:
        clock = VirtualClock()
        replayer = Replayer(
            run.recording,
            run_id=run.id,
            shared=Answers(run.preamble, earlier=run.earlier, supplement=run.supplement, by_hand=run.answers),
            clock=clock,
            tokens=run.tokens,
            dropped=self._dropped,
            digests=digests,
            watch=self._watch,
        )
        telemetry.take_dropped()  # what start-up and earlier runs left is listed by them, or was sent late
        driving = _Driving(self, replayer, clock)
        outcome, deadline, stacks = None, "", ""
        with self._fence() as fence, _no_bytecode(), travelling():
            try:
                with Deadline(self._timeout_s, clock=clock, loop=self.loop):
                    outcome = registered.entry.drive(registered.target, run.input, driving)
                    driving.run(_leave_time(replayer, driving))
            except DeadlineExceeded as error:
                deadline, stacks = str(error), error.stacks
            finally:
                replayer.close()
                event_loop.finish(self.loop, clock)
        evidence = _evidence(run, replayer, outcome, tuple(map(str, fence.attempts)), deadline)
        missed = replayer.unrecorded
        asked_by = "" if missed is None else calling_code(missed.__traceback__, self._root)
        evidence = replace(
            evidence, asked_by=asked_by, drifts=(*evidence.drifts, *self._start_up_drifts, *served(digests))
        )
        return Replayed(evidence=evidence, replayer=replayer, stacks=stacks)


class _Driving:
    """What the stage lends to an entry. See `entry.Driving`."""

    def __init__(self, stage: Stage, replayer: Replayer, clock: VirtualClock) -> None:
        self._stage = stage
        self._replayer = replayer
        self._clock = clock

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """See `entry.Driving`."""
        with entered(self._replayer.lane):
            return event_loop.drive(self._stage.loop, coroutine, self._clock)

    def call(self, function: Callable[[], T], *, interruption: tuple[int, BaseException] | None = None) -> T:
        """See `entry.Driving`."""
        with entered(self._replayer.lane):
            return event_loop.call(function, self._clock, interruption)

    async def until(self, offset_ns: int) -> None:
        """See `entry.Driving`."""
        wait_ns = offset_ns - self._clock.now_ns()
        if wait_ns > 0:
            await asyncio.sleep(wait_ns / 1e9)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        """See `entry.Driving`."""
        with entered(self._replayer.lane):
            task = self._stage.loop.create_task(coroutine)
        self._stage.kept_tasks.append(task)
        return task

    def lacks(self, asked: str) -> Exception:
        """See `entry.Driving`."""
        return self._replayer.lacks(asked)


async def _leave_time(replayer: Replayer, driving: _Driving) -> None:
    """Let what the entry left running make the calls that it made before the recorded run was over.

    The work between calls took time there and takes none here, so that a task nobody awaits may be behind by that much.
    """
    replayer.returned = True
    interactions = replayer.recording.interactions
    for ended_ns in sorted(interactions[index].ended_ns for index in replayer.matcher.unplayed()):
        if replayer.unrecorded is not None or not list(replayer.matcher.unplayed()):
            return
        await driving.until(ended_ns)


def _evidence(run: Run, replayer: Replayer, outcome: Any, leaks: tuple[str, ...], deadline: str) -> Evidence:
    unplayed = list(replayer.matcher.unplayed())
    drifts = [*replayer.drifts, *(Drift(DriftKind.LATE_CALL, 0, text) for text in replayer.late)]
    if replayer.unrecorded is None and not deadline:
        drifts += (_missing(run, replayer, index) for index in unplayed)
        drifts += replayer.changed_pauses()
    missed = replayer.unrecorded
    return Evidence(
        recorded=run.outcome,
        outcome=outcome,
        unrecorded="" if missed is None else str(missed),
        asked="" if missed is None else missed.asked,
        lacked=None if replayer.lacked is None else _lacked(*replayer.lacked),
        all_played=all(_is_upkeep(run, replayer, index) for index in unplayed),
        leaks=leaks,
        deadline=deadline,
        drifts=tuple(drifts),
        tokens=run.tokens,
        derived=replayer.derived,
        recorded_logs=tuple(map(_log_line, run.recording.logs)),
        logs=tuple(map(_log_line, replayer.logs)),
        telemetry=telemetry.take_dropped(),
        crossings=tuple(replayer.played),
    )


def _lacked(boundary: Boundary[Any], request: Request) -> Mapping[str, Any]:
    return {
        "call": str(call_name(boundary, request)),
        "kind": boundary.kind.name,
        "request": encode_or_opaque(dict(request)),
    }


def _is_upkeep(run: Run, replayer: Replayer, index: int) -> bool:
    """Whether a call that wasn't made is no step of the program's: fixed code makes no end of what failed."""
    kind = registry.kind_named(run.recording.interactions[index].kind)
    return kind is not None and kind.is_upkeep(replayer.matcher.request(index))


def _log_line(entry: Mapping[str, Any]) -> str:
    return f"{entry['level']} {entry['logger']}: {entry['message']}"


def _missing(run: Run, replayer: Replayer, index: int) -> Drift:
    interaction, request = run.recording.interactions[index], replayer.matcher.request(index)
    text = f"{interaction.boundary} {registry.text_of(interaction, request)}"
    return Drift(_missing_kind(run, replayer, index), index + 1, text)


def _missing_kind(run: Run, replayer: Replayer, index: int) -> DriftKind:
    interaction = run.recording.interactions[index]
    if interaction.effect:
        return DriftKind.MISSING_EFFECT
    kind = registry.kind_named(interaction.kind)
    used_up = kind is not None and not kind.may_repeat(replayer.matcher.request(index))
    return DriftKind.UNPLAYED if used_up or _is_upkeep(run, replayer, index) else DriftKind.MISSING_READ


def refuse_unready(run: Run) -> None:
    """Refuse a run that says itself that it can't be replayed.

    Raises:
        RunNotReady: it has reasons.
    """
    if run.readiness.reasons:
        raise RunNotReady(
            f"run {run.id} can't be replayed faithfully",
            reasons=run.readiness.reasons,
            why=", ".join(run.readiness.reasons),
            next_step=f"`fluxrun why {run.id[:10]}` says what each reason means",
        )


def _refuse_unreplayable() -> None:
    why = registry.unreplayable()
    if why:
        raise RunNotReady(
            "no run can be replayed in this process",
            reasons=("unreplayable",),
            why=why,
            next_step="do that where the server starts (gunicorn's gevent worker does), not in a module that a replay "
            "imports too",
        )


def _refuse_displaced() -> None:
    _refuse_unreplayable()
    broken = registry.broken_boundaries()
    if broken:
        raise RunNotReady(
            f"the boundary {broken[0].partition(':')[0]} could not be installed",
            reasons=("broken-boundary",),
            why=broken[0],
            next_step="calls through its library would go live unseen: repair or uninstall the boundary",
        )
    found = [(seam.seam, f"it is now {seam.found}") for seam in patching.displaced()]
    found += [(function, "something else, such as time-machine, has interposed it") for function in ambient.displaced()]
    found += [
        (f"datetime.{name}", f"it is now {now.__module__}.{now.__qualname__}")  # freezegun's: no run serves its clock
        for name, now in (("datetime", datetime.datetime), ("date", datetime.date))
        if now.__module__ != "datetime"
    ]
    if found:
        seam, why = found[0]
        raise RunNotReady(
            f"the seam {seam} was displaced",
            reasons=("displaced",),
            why=f"{why}; a call through it would go live unseen",
            next_step="keep that patch (an autouse fixture, a plugin that restores out of order) away from the runs, "
            "or run `pytest --fluxrun-dir=...` by itself",
        )


def _place_of(error: BaseException, root: Path) -> str:
    """` at file:line` of the innermost frame in the project, or ""."""
    place, trace = "", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            place = f" at {path.relative_to(root)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Imports made under the fence write no .pyc files."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
