"""The contract that every entry keeps: subclass EntryContract, give it exercises, and pytest proves the entry.

Records with the real Recorder and replays on the real Stage: its loop, virtual clock and fence, the outside taken away.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching, registry
from pytest_fluxrun.bundle import new_run_id
from pytest_fluxrun.config import Settings
from pytest_fluxrun.context import entered
from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.entry import Ending, Entry, register, set_opener
from pytest_fluxrun.execution.stage import Replayed, Stage
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Verdict, judge
from pytest_fluxrun.recording.dumping import dump_preamble, dump_run
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.boundary import Outside
from pytest_fluxrun.testing.exercises import Exercised
from pytest_fluxrun.testing.live_hits import CountsLiveHits

__all__ = ["EntryContract", "Exercise", "every_seam"]

_SETTINGS = Settings(project="contract")
_PATIENCE_S = 20.0
_TWICE = 2


@dataclass(frozen=True)
class Exercise:
    """One behaviour of a framework.

    Args:
        target: gives the object to wrap, from an Outside; called again for each test, and again for the replay.
        invoke: invokes the object that `wrap` gave, or the bare one, as its live caller does, and returns what that
            caller saw, comparable with `==`; sync or async; it may raise. It takes the object and the Outside, and must
            cross no boundary itself (an HTTP client of the test's own would count as the program's).
        error: what the outcome's error and its causes are, the outermost first, each as `module:Class: message`.
        ending: fields of the run's `Ending` that the exercise is about, e.g. `{"status": 503}`.
        calls: how many interactions the run holds; None: as many as it may be.
    """

    target: Callable[[Any], Any]
    invoke: Callable[[Any, Any], Any]
    error: tuple[str, ...] = ()
    ending: Mapping[str, Any] = field(default_factory=dict)
    calls: int | None = None


@dataclass(frozen=True)
class _Result:
    """What a caller got or was raised, comparable."""

    returned: Any = None
    error_type: type[BaseException] | None = None
    error_text: str = ""


class _Runs:
    """What one process records, as `fluxrun.init` sets it up, but kept in memory."""

    def __init__(self, max_bytes: int, *, keep: bool) -> None:
        self.preamble = Recorder("", "", lambda *_: None, preamble=True)
        self.opened: list[Recorder] = []
        self._ended: dict[int, Ending] = {}
        self._changed = threading.Condition()
        self._max_bytes = max_bytes
        self._keep = keep

    def open_run(self, name: str, entry: Entry) -> Recorder:
        """Begin a run; the first one ends the preamble."""
        with self._changed:
            if not self.preamble.closed:
                self.preamble.close()
            recorder = Recorder(name, entry.kind, self._finished, max_bytes=self._max_bytes)
            self.opened.append(recorder)
            return recorder

    def _finished(self, recorder: Recorder, ending: Ending) -> None:
        if not self._keep:
            recorder.release()
        with self._changed:
            self._ended[id(recorder)] = ending
            self._changed.notify_all()

    def endings(self) -> list[Ending]:
        """How the runs ended, in the order in which they began; waits for those that are under way."""
        with self._changed:
            over = self._changed.wait_for(lambda: len(self._ended) == len(self.opened), timeout=_PATIENCE_S)
            assert over, "a run that was opened was never finished"
            return [self._ended[id(recorder)] for recorder in self.opened]

    def dumped(self) -> list[Run]:
        """The runs as bundles hold them, each through JSON."""
        endings = self.endings()
        preamble = dump_preamble(self.preamble)
        runs = [
            dump_run(recorder, ending, preamble, _SETTINGS, new_run_id())
            for recorder, ending in zip(self.opened, endings, strict=True)
        ]
        return [Run.from_payload(run.to_payload()) for run in runs]


@contextmanager
def every_seam() -> Iterator[None]:
    """Every seam of the process for the length of a block; what was installed before is put back."""
    others = patching.installed_patches()
    registry.install_seams()
    for seams in registry.installed_boundaries():
        for name in seams.modules:
            if name in sys.modules:
                patching.install(seams.patches(sys.modules[name]))
    try:
        with entered(None):
            yield
    finally:
        set_opener(None)
        patching.restore_all()
        patching.install(others)


class EntryContract(Exercised, CountsLiveHits):
    """What every entry must do. Subclass it as `TestX`, with a fixture `outside` that gives a `boundary.Outside`.

    Attributes:
        entry: the instance under test.
        subject: what is recorded, as people know it, e.g. `FastAPI`: the row in the compatibility table.
        library: the distribution whose version is shown beside it.
        exercises: behaviour → exercise. Frameworks of one sort use the same names.
        foreign: objects that the entry must refuse, beside those that no entry takes.
        detached: names of exercises whose invocation leaves the caller's context (a server on a thread from before): a
            call of them inside another run is a run of its own.
        recognised: False for an entry whose targets are named by a decorator and recognised by nobody.
    """

    entry: ClassVar[Entry]
    subject: ClassVar[str]
    library: ClassVar[str]
    exercises: ClassVar[Mapping[str, Exercise]]
    foreign: ClassVar[Sequence[Any]] = ()
    detached: ClassVar[frozenset[str]] = frozenset()
    recognised: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _seams(self) -> Iterator[None]:
        """Every seam of the process for the length of a test."""
        with every_seam():
            yield

    # -- what the tests are made of

    def bare(self, exercise: str, outside: Outside) -> Any:
        """The exercise's object, not wrapped."""
        return self.exercises[exercise].target(outside)

    def wrapped(self, exercise: str, outside: Outside) -> Any:
        """The exercise's object, wrapped and registered."""
        name = f"contract-{self.entry.kind}"
        target = self.entry.wrap(self.bare(exercise, outside), name)
        register(name, self.entry, target)
        return target

    def invoke(self, exercise: str, target: Any, outside: Outside) -> _Result:
        """One invocation, from its start to what the caller saw."""
        return self.invoke_each(exercise, target, outside, times=1)[0]

    def invoke_each(
        self, exercise: str, target: Any, outside: Outside, *, times: int = _TWICE, at_once: bool = False
    ) -> list[_Result]:
        """Several invocations of one object, one after another or at once; async ones on one event loop."""
        function = self.exercises[exercise].invoke
        if inspect.iscoroutinefunction(function):
            return asyncio.run(_awaited(function, target, outside, times, at_once=at_once))
        if not at_once:
            return [_called(function, target, outside) for _ in range(times)]
        results: list[_Result] = []
        threads = [
            threading.Thread(target=lambda: results.append(_called(function, target, outside))) for _ in range(times)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE_S)
        return results

    @contextmanager
    def recording(self, *, max_bytes: int = 8 << 20, keep: bool = True) -> Iterator[_Runs]:
        """Record what is invoked in the block, as a process that has called `fluxrun.init` does."""
        runs = _Runs(max_bytes, keep=keep)
        set_opener(runs.open_run)
        try:
            with entered(runs.preamble.lane):
                yield runs
            runs.endings()
        finally:
            set_opener(None)

    def record(self, exercise: str, outside: Outside) -> tuple[_Result, Run, Ending]:
        """One recorded invocation: what its caller saw, the run, and how it ended."""
        with self.recording() as runs:
            result = self.invoke(exercise, self.wrapped(exercise, outside), outside)
        (run,), (ending,) = runs.dumped(), runs.endings()
        return result, run, ending

    def replay(self, exercise: str, runs: Sequence[Run], outside: Outside, root: Path) -> list[Replayed]:
        """The runs, one after another, driven on one stage as `pytest --fluxrun-dir` does it."""
        with entered(None):
            self.wrapped(exercise, outside)
            stage = Stage((), root=root, timeout_s=_PATIENCE_S)
            try:
                return [stage.replay(run) for run in runs]
            finally:
                stage.close()

    def assert_faithful(self, exercise: str, runs: Sequence[Run], outside: Outside, root: Path) -> None:
        """Each run replays to its own outcome: no call reaches the outside, no drift, nothing left unplayed."""
        self.settle(outside)
        with self.no_live_hit(outside):
            shown = self.replay(exercise, runs, outside, root)
        for run, replayed in zip(runs, shown, strict=True):
            evidence = replayed.evidence
            assert ((), "") == (evidence.leaks, evidence.unrecorded)
            judgement = judge(evidence, Guard(run=run.id, sha256="0" * 64, expect="recorded"))
            assert Verdict.MATCH is judgement.verdict, f"{judgement.first_divergence[:500]}\n{replayed.stacks}"
            assert _chain(evidence.recorded) == _chain(evidence.outcome)
            assert evidence.tokens or _but_the_error(evidence.recorded) == _but_the_error(evidence.outcome)
            assert [drift for drift in evidence.drifts if drift.kind is not DriftKind.VERIFICATION_SERVED] == []
            assert evidence.all_played

    # -- for each exercise

    def test_recording_changes_nothing_that_the_caller_sees(self, exercise: str, outside: Outside) -> None:
        """The wrapped object gives its caller what the bare one gives, and one invocation is one run."""
        bare = self.invoke(exercise, self.bare(exercise, outside), outside)
        outside.reset()

        result, run, _ = self.record(exercise, outside)

        assert bare == result
        assert run.readiness.reasons == ()

    def test_replay_gives_the_recorded_outcome_with_the_outside_gone(
        self, exercise: str, outside: Outside, tmp_path: Path
    ) -> None:
        """The run's outcome comes back equal; nothing is asked live, and every recorded interaction is played."""
        _, run, _ = self.record(exercise, outside)
        outside.take_away()
        self.assert_faithful(exercise, [run], outside, tmp_path)

    def test_run_holds_every_call_and_the_error_as_it_was_raised(self, exercise: str, outside: Outside) -> None:
        """An error is in the outcome with its type, message and causes; keep rules and index see how the run ended."""
        expected = self.exercises[exercise]

        _, run, ending = self.record(exercise, outside)

        assert expected.error == _chain(run.outcome)
        assert dict(expected.ending) == {name: getattr(ending, name) for name in expected.ending}
        assert expected.calls in (None, len(run.recording.interactions))

    def test_without_a_recorder_the_original_runs(self, exercise: str, outside: Outside) -> None:
        """Where nobody records, the wrapped object does what the bare one does."""
        bare = self.invoke(exercise, self.bare(exercise, outside), outside)
        outside.reset()

        assert bare == self.invoke(exercise, self.wrapped(exercise, outside), outside)

    def test_second_invocation_is_a_run_of_its_own(self, exercise: str, outside: Outside, tmp_path: Path) -> None:
        """Two invocations one after another are two runs, and each replays."""
        with self.recording() as recorded:
            self.invoke_each(exercise, self.wrapped(exercise, outside), outside)
        runs = recorded.dumped()

        assert _TWICE == len(runs)
        self.assert_faithful(exercise, runs, outside, tmp_path)

    def test_invocations_at_once_do_not_mix(self, exercise: str, outside: Outside, tmp_path: Path) -> None:
        """Two invocations at the same time are two runs that hold as much as one alone, and each replays."""
        _, alone, _ = self.record(exercise, outside)
        outside.reset()
        with self.recording() as recorded:
            self.invoke_each(exercise, self.wrapped(exercise, outside), outside, at_once=True)
        runs = recorded.dumped()

        assert [len(alone.recording.interactions)] * _TWICE == [len(run.recording.interactions) for run in runs]
        self.assert_faithful(exercise, runs, outside, tmp_path)

    def test_invocation_inside_another_run_is_part_of_it(self, exercise: str, outside: Outside) -> None:
        """No run is opened inside a run: what the inner one asks of the outside is the outer one's."""
        _, alone, _ = self.record(exercise, outside)
        outside.reset()
        outer = Recorder("outer", "function", lambda *_: None)

        with self.recording() as runs, entered(outer.lane):
            self.invoke(exercise, self.wrapped(exercise, outside), outside)
            inside = () if exercise in self.detached else alone.recording.interactions
            _until(lambda: len(outer.crossings) >= len(inside) and all(one.over for one in outer.crossings))
        outer.close()

        assert (exercise in self.detached) == len(runs.opened)
        assert len(inside) == len(dump_preamble(outer).recording.interactions)

    def test_run_that_is_too_large_and_not_kept_changes_nothing(self, exercise: str, outside: Outside) -> None:
        """A recorder that is over its bound and lets go of the run at its end isn't noticed by the caller."""
        bare = self.invoke(exercise, self.bare(exercise, outside), outside)
        outside.reset()

        with self.recording(max_bytes=-1, keep=False) as runs:
            result = self.invoke(exercise, self.wrapped(exercise, outside), outside)

        assert bare == result
        assert len(runs.endings()) == 1

    # -- once

    def test_object_wrapped_twice_is_recorded_once(self, outside: Outside, tmp_path: Path) -> None:
        """The outer wrapper opens the run; the inner one finds itself in it."""
        exercise = next(iter(self.exercises))
        bare = self.invoke(exercise, self.bare(exercise, outside), outside)
        outside.reset()

        with self.recording() as recorded:
            twice = self.entry.wrap(self.wrapped(exercise, outside), f"contract-{self.entry.kind}")
            result = self.invoke(exercise, twice, outside)
        runs = recorded.dumped()

        assert bare == result
        assert len(runs) == 1
        self.assert_faithful(exercise, runs, outside, tmp_path)

    def test_wrapped_object_is_still_what_it_was(self, outside: Outside) -> None:
        """`isinstance` holds, and every public attribute is there."""
        for exercise in self.exercises:
            bare = self.bare(exercise, outside)

            wrapped = self.entry.wrap(bare, f"contract-{self.entry.kind}")

            assert isinstance(wrapped, type(bare)), exercise
            assert {name for name in dir(bare) if not name.startswith("_")} <= set(dir(wrapped)), exercise
            assert getattr(bare, "__name__", None) == getattr(wrapped, "__name__", None), exercise

    def test_object_is_recognised_and_described(self, outside: Outside) -> None:
        """The entry knows its object, bare and wrapped, and says on one line what it is."""
        for exercise in self.exercises:
            bare = self.bare(exercise, outside)
            wrapped = self.entry.wrap(bare, f"contract-{self.entry.kind}")

            described = [self.entry.describe(bare), self.entry.describe(wrapped)]

            assert [self.recognised] * 2 == [self.entry.recognises(bare), self.entry.recognises(wrapped)], exercise
            assert described[0] == described[1]
            assert len(described[0].splitlines()) == 1
            assert self.recognised == bool(self.entry.takes), "say in `takes` what it recognises"

    def test_foreign_objects_are_refused(self) -> None:
        """What isn't one of its objects isn't recognised, and asking has no effect and raises nothing."""
        others = (None, 1, "app", object(), sys, lambda: None, type("Other", (), {}), *self.foreign)
        assert [False] * len(others) == [self.entry.recognises(other) for other in others]


def _called(function: Callable[[Any, Any], Any], target: Any, outside: Outside) -> _Result:
    try:
        return _Result(returned=function(target, outside))
    except Exception as error:  # what the caller is raised is what the exercise is about
        return _Result(error_type=type(error), error_text=str(error))


async def _awaited(
    function: Callable[[Any, Any], Any], target: Any, outside: Outside, times: int, *, at_once: bool
) -> list[_Result]:
    async def one() -> _Result:
        try:
            return _Result(returned=await function(target, outside))
        except Exception as error:  # as above
            return _Result(error_type=type(error), error_text=str(error))

    if at_once:
        return list(await asyncio.gather(*(one() for _ in range(times))))
    return [await one() for _ in range(times)]


def _but_the_error(outcome: Any) -> dict[str, Any]:
    return {name: value for name, value in outcome.items() if name != "error"}


def _chain(outcome: Any) -> tuple[str, ...]:
    """An outcome's error and what it was raised from, as a traceback shows them."""
    found = []
    error = outcome.get("error")
    while error is not None:
        found.append(f"{error['type']}: {error['message']}")
        error = error.get("cause") or (None if error.get("suppress") else error.get("context"))
    return tuple(found)


def _until(true: Callable[[], bool]) -> None:
    """Wait for what the invocation left running; what never comes true is for the caller's assertions."""
    deadline = time.monotonic() + _PATIENCE_S
    while not true() and time.monotonic() < deadline:
        time.sleep(0.002)
