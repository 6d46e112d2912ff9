"""The contract that every boundary keeps: subclass BoundaryContract, give it exercises, and pytest proves the boundary.

Needs no recorder and no bundle: `sessions` holds small ones. Imports pytest, hence nothing in the package imports this.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, ClassVar, Protocol

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundary import Boundary, Seams
from pytest_fluxrun.context import entered
from pytest_fluxrun.registry import kind_named
from pytest_fluxrun.testing.exercises import Exercised
from pytest_fluxrun.testing.live_hits import CountsLiveHits
from pytest_fluxrun.testing.sessions import JumpingClock, MemoryRecorder, MemoryReplayer, Recorded, through_json
from pytest_fluxrun.values import decode, encode

__all__ = ["BoundaryContract", "Exercise", "Outside"]


class Outside(Protocol):
    """The real thing that exercises talk to: a server, a file.

    Attributes are the subclass's affair (an address, a path); these three the suite calls.
    """

    def calls(self) -> int:
        """How often the outside has been reached; a number that never falls."""

    def reset(self) -> None:
        """Back to the state in which every exercise gives the same result."""

    def take_away(self) -> None:
        """Make the outside unreachable for the rest of the test."""


_ADDRESS = re.compile(r"\b(?:0x)?[0-9a-f]{9,16}\b")
"""Where an object lies, as urllib3's connections and anyio's cancel scopes name themselves in errors."""

Exercise = Callable[[Any], Any]
"""Uses the live library against an Outside; sync or async. What it returns is compared with `==`; it may raise."""


@dataclass(frozen=True)
class _Result:
    """What an exercise returned or raised, comparable."""

    returned: Any = None
    error_type: type[BaseException] | None = None
    error_text: str = ""
    error_args: tuple[Any, ...] = ()
    error_chain: tuple[tuple[type[BaseException], str], ...] = ()


def _chain(error: BaseException | None) -> Iterator[tuple[type[BaseException], str]]:
    """The causes, or where there is none the contexts, by type and text; at most eight."""
    for _ in range(8):
        if error is None:
            return
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is not None:
            yield type(error), _ADDRESS.sub("…", str(error))


class BoundaryContract(Exercised, CountsLiveHits):
    """What every boundary must do. Subclass it as `TestX`, with a fixture `outside` that gives an Outside.

    Attributes:
        boundary: the instance under test.
        carriers: other seams that the exercises need, e.g. those that carry the lane into the library's threads.
        exercises: name → exercise; each makes at least one call that the boundary sees.
        local: names of exercises that the boundary may answer where nothing is recorded (`Call.otherwise`).
        unreached: names of exercises that never reach the outside, so that `calls()` may stay as it is.
    """

    boundary: ClassVar[Boundary[Any]]
    carriers: ClassVar[tuple[Seams, ...]] = ()
    exercises: ClassVar[Mapping[str, Exercise]]
    local: ClassVar[frozenset[str]] = frozenset()
    unreached: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture(autouse=True)
    def _seams(self) -> Iterator[None]:
        """The boundary's seams for the length of a test; those of a plugin in the same process are put back."""
        others = patching.installed_patches()
        patching.restore_all()
        self.install()
        yield
        patching.restore_all()
        patching.install(others)

    def install(self) -> None:
        """Install the boundary's seams and its carriers'."""
        for seams in (*self.carriers, self.boundary):
            for name in seams.modules:
                patching.install(seams.patches(import_module(name)))

    def run(self, exercise: str, outside: Outside) -> _Result:
        """One exercise, from its start to its result."""
        function = self.exercises[exercise]
        try:
            if inspect.iscoroutinefunction(function):
                return _Result(returned=asyncio.run(function(outside)))
            return _Result(returned=function(outside))
        except Exception as error:
            return _Result(
                error_type=type(error),
                error_text=_ADDRESS.sub("…", str(error)),
                error_args=tuple(map(_comparable, error.args)),
                error_chain=tuple(_chain(error)),
            )

    def record(self, exercise: str, outside: Outside) -> tuple[_Result, list[Recorded]]:
        """The exercise inside a recorded run: its result and what was recorded, as JSON."""
        recorder = MemoryRecorder()
        with recorder.open():
            result = self.run(exercise, outside)
        return result, recorder.finish()

    def test_recording_changes_no_result(self, exercise: str, outside: Outside) -> None:
        """An exercise gives the same inside a recorded run as outside of every run, and something is recorded."""
        bare = self.run(exercise, outside)
        outside.reset()

        result, recorded = self.record(exercise, outside)

        assert bare == result
        assert recorded != []

    def test_replay_gives_the_recorded_result_with_the_outside_gone(self, exercise: str, outside: Outside) -> None:
        """Results, and errors by type, text, arguments and chain, come back equal, with no call to the outside."""
        expected, recorded = self.record(exercise, outside)
        outside.take_away()
        clock = JumpingClock()
        replayer = MemoryReplayer(recorded, clock=clock)

        with self.no_live_hit(outside), replayer.open():
            result = self.run(exercise, outside)

        assert replayer.unrecorded is None, str(replayer.unrecorded)
        assert expected == result
        assert clock.idle()
        assert replayer.unplayed() == []

    def test_without_a_session_the_original_runs(self, exercise: str, outside: Outside) -> None:
        """With seams installed and no run, the outside is reached as it is without seams."""
        patching.restore_all()
        stock = self.run(exercise, outside)
        outside.reset()
        self.install()
        calls_before = outside.calls()

        result = self.run(exercise, outside)

        assert stock == result
        assert exercise in self.unreached or outside.calls() > calls_before

    def test_call_inside_another_crossing_is_not_recorded(self, exercise: str, outside: Outside) -> None:
        """Beneath a crossing the original runs: the outermost boundary holds the whole."""
        bare = self.run(exercise, outside)
        outside.reset()
        recorder = MemoryRecorder()
        recorder.lane.inside = True

        with recorder.open():
            result = self.run(exercise, outside)

        assert bare == result
        assert recorder.finish() == []

    def test_mutated_answer_leaves_the_record_as_it_was(self, exercise: str, outside: Outside) -> None:
        """What the app does to an answer after it got it is not what the outside said, which nobody asks again."""
        recorder = MemoryRecorder()
        with recorder.open():
            result = self.run(exercise, outside)
        expected = replace(result, returned=copy.deepcopy(result.returned))
        _spoil(result.returned)
        replayer = MemoryReplayer(recorder.finish())
        self.settle(outside)
        outside.reset()

        with self.no_live_hit(outside), replayer.open():
            again = self.run(exercise, outside)

        assert expected == again

    def test_unrecorded_call_is_refused_and_not_made(self, exercise: str, outside: Outside) -> None:
        """Against an empty recording the first call raises UnrecordedCall, and nothing reaches the outside."""
        replayer = MemoryReplayer([])

        with self.no_live_hit(outside), replayer.open():
            self.run(exercise, outside)

        assert exercise in self.local or replayer.unrecorded is not None

    def test_requests_survive_storage(self, exercise: str, outside: Outside) -> None:
        """A stored request equals the asked one for its kind; its text is one line, and its parts can be named."""
        for recorded in self.record(exercise, outside)[1]:
            kind = self.boundary.kind if recorded.kind == self.boundary.kind.name else kind_named(recorded.kind)
            assert kind is not None
            form = decode(recorded.request)
            again = decode(through_json(encode(form)))

            assert kind.canonical(form) == kind.canonical(again)
            assert kind.operation(form) == kind.operation(again)
            assert kind.differences(form, again) == []
            assert len(kind.text(form).splitlines()) == 1
            assert len(kind.text(form)) <= 200
            assert all(isinstance(name, str) for name, _ in kind.named_values(form, recorded.answer))

    def test_seams_install_once_and_restore_the_originals(self) -> None:
        """Installing twice changes nothing; restoring puts back what was there."""
        patching.restore_all()
        owners = [patch for seams in (*self.carriers, self.boundary) for patch in _patches(seams)]
        before = [vars(patch.owner).get(patch.attribute) for patch in owners]

        self.install()
        once = [vars(patch.owner).get(patch.attribute) for patch in owners]
        self.install()
        twice = [vars(patch.owner).get(patch.attribute) for patch in owners]
        displaced = patching.displaced()
        patching.restore_all()
        after = [vars(patch.owner).get(patch.attribute) for patch in owners]

        assert once == twice
        assert displaced == ()
        assert all(old is not new for old, new in zip(before, once, strict=True))
        assert before == after

    def test_session_ends_with_its_block(self, outside: Outside) -> None:
        """After a run, the same exercise is live again and adds nothing to the record."""
        exercise = next(iter(self.exercises))
        recorder = MemoryRecorder()
        with recorder.open():
            self.run(exercise, outside)
        recorded = len(recorder.finish())
        outside.reset()

        with entered(None):
            self.run(exercise, outside)

        assert recorded == len(recorder.finish())


def _comparable(argument: Any) -> Any:
    """An error among an error's arguments by type and text: errors compare by identity; of text no addresses."""
    if isinstance(argument, BaseException):
        return type(argument), _ADDRESS.sub("…", str(argument))
    return _ADDRESS.sub("…", argument) if isinstance(argument, str) else argument


def _patches(seams: Seams) -> Iterator[patching.Patch]:
    for name in seams.modules:
        yield from seams.patches(import_module(name))


def _spoil(value: Any) -> None:
    """Empty every container in a value, the inner ones first."""
    if isinstance(value, Mapping):
        for item in value.values():
            _spoil(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            _spoil(item)
    clear = getattr(value, "clear", None)
    if clear is not None:
        with contextlib.suppress(Exception):
            clear()
