"""The recorder: keeps what crossed, and never disturbs the host."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from typing import Any

import pytest

from pytest_fluxrun.boundary import Call
from pytest_fluxrun.config import Settings
from pytest_fluxrun.context import LANE, Lane, crossing, current_lane, entered
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.dumping import dump_preamble, dump_run
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import encode
from tests.plain_boundary import PlainBoundary


class Db(PlainBoundary):
    """One that may be asked to dump what it can't."""

    def __init__(self, *, snapshot: bool = False) -> None:
        self.snapshot = snapshot  # type: ignore[misc]

    def dump(self, result: Any) -> Any:
        if result == "undumpable":
            raise RuntimeError("dump failed")
        return super().dump(result)


DB, SNAPSHOT = Db(), Db(snapshot=True)


def request(method: str = "get", *args: Any) -> dict[str, Any]:
    return {"target": "db", "method": method, "args": list(args), "kwargs": {}, "effect": None}


class Recording:
    """One run from its start to its dump."""

    def __init__(self, **options: Any) -> None:
        self.endings: list[Ending] = []
        self.recorder = Recorder("job", "function", lambda _, ending: self.endings.append(ending), **options)

    def call(self, answer: Any, method: str = "get", *args: Any, boundary: Any = DB) -> Any:
        def live() -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

        with entered(self.recorder.lane):
            return self.recorder.call(boundary, Call(request(method, *args)), live)

    def dump(self) -> Run:
        ending = Ending(dump=lambda: ({"args": [], "kwargs": {}}, {"returned": None, "error": None}))
        self.recorder.finish(ending)
        run = dump_run(self.recorder, ending, None, Settings(), "0" * 26)
        return Run.from_payload(run.to_payload())


@pytest.fixture
def one() -> Recording:
    return Recording()


def test_answers_errors_and_effects_are_kept_in_the_order_of_their_start(one: Recording):
    """The host gets the very objects, the run gets them as values."""
    answer, error = (1, "a"), KeyError("x")

    assert one.call(answer) is answer
    with pytest.raises(KeyError) as raised:
        one.call(error, "save", 1)
    run = one.dump()

    assert error is raised.value
    first, second = run.recording.interactions
    assert (encode(answer), False, False) == (first.answer, first.failed, first.effect)
    assert ("builtins:KeyError", True, True) == (second.error["type"], second.failed, second.effect)
    assert 0 <= first.started_ns <= first.ended_ns <= second.started_ns <= second.ended_ns
    assert "recorded" == run.readiness.state


def test_async_call_is_kept(one: Recording):
    """As the sync one."""

    async def live() -> str:
        assert crossing() is None
        await asyncio.sleep(0)
        return "a"

    async def run() -> str:
        with entered(one.recorder.lane):
            return await one.recorder.acall(DB, Call(request()), live)

    assert "a" == asyncio.run(run())
    assert ["a"] == [interaction.answer for interaction in one.dump().recording.interactions]


def test_what_is_beneath_a_call_is_not_recorded_and_reads_the_real_clock(one: Recording):
    """The outermost boundary holds the whole."""
    lane = one.recorder.lane

    def live() -> str:
        assert crossing() is None
        assert current_lane().ambient is None
        return "a"

    with entered(lane):
        one.recorder.call(DB, Call(request()), live)
        assert crossing() is one.recorder
    assert [0] == lane.ambient


def test_other_code_of_the_lane_is_recorded_during_a_call(one: Recording):
    """A callback while a call is awaited, and threads that were given the context: no call hides another."""
    session = one.recorder

    def ask(answer: str) -> None:
        session_now = crossing()
        assert session_now is session
        session_now.call(DB, Call(request()), lambda: answer)

    async def body() -> None:
        called = asyncio.Event()

        def callback() -> None:
            ask("of the callback")
            called.set()

        async def live() -> str:
            await asyncio.wait_for(called.wait(), 5)
            return "awaited"

        asyncio.get_running_loop().call_later(0.001, callback)
        await session.acall(DB, Call(request()), live)

    with entered(session.lane):
        asyncio.run(body())
        gate, contexts = threading.Barrier(3), [contextvars.copy_context() for _ in range(3)]

        def beside(number: int) -> None:
            session.call(DB, Call(request()), lambda: (gate.wait(5), str(number))[1])

        threads = [threading.Thread(target=lambda i=i: contexts[i].run(beside, i)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    answers = [interaction.answer for interaction in one.dump().recording.interactions]
    assert ["0", "1", "2", "awaited", "of the callback"] == sorted(answers)


def test_what_a_call_spawns_counts_apart(one: Recording):
    """A replay makes no live call, so that nothing of it may be numbered."""
    lanes = []
    with entered(one.recorder.lane):
        one.recorder.call(DB, Call(request()), lambda: lanes.append(current_lane().spawn("task")) or "a")
        lanes.append(current_lane().spawn("task"))

    assert [(True, (1,)), (False, (1,))] == [(lane.inside, lane.position) for lane in lanes]


def test_call_that_is_thrown_away_disturbs_nobody(one: Recording):
    """A coroutine that is never finished is closed wherever it is collected: in the middle of another run, say."""

    class Never:
        def __await__(self) -> Any:
            yield

    async def live() -> str:
        await Never()
        return "never"

    other = Lane(one.recorder)
    coroutine = one.recorder.acall(DB, Call(request()), live)
    contextvars.Context().run(lambda: (LANE.set(one.recorder.lane), coroutine.send(None)))
    with entered(other):
        coroutine.close()
        assert current_lane() is other


@pytest.mark.parametrize("boundary", [DB, SNAPSHOT])
def test_answer_that_cannot_be_dumped_makes_the_run_unready_and_disturbs_nobody(one: Recording, boundary: Any):
    """Also where it is dumped at once, on the request's thread."""
    assert "undumpable" == one.call("undumpable", boundary=boundary)
    assert "b" == one.call("b")
    run = one.dump()

    assert ("undumpable:db", "opaque:db") == run.readiness.reasons
    assert ["opaque", "b"] == [
        one.answer["~"] if isinstance(one.answer, dict) else one.answer for one in run.recording.interactions
    ]


def test_async_answer_that_cannot_be_dumped_disturbs_nobody(one: Recording):
    """The awaiting side too."""

    async def live() -> str:
        return "undumpable"

    async def run() -> str:
        with entered(one.recorder.lane):
            return await one.recorder.acall(SNAPSHOT, Call(request()), live)

    assert "undumpable" == asyncio.run(run())
    assert "undumpable:db" in one.dump().readiness.reasons


def test_request_that_cannot_be_formed_makes_the_run_unready(one: Recording):
    """A third party's form may fail in any way."""

    def form() -> Any:
        raise RuntimeError("no form")

    with entered(one.recorder.lane):
        assert 1 == one.recorder.call(DB, Call(form), lambda: 1)
    assert "undumpable:db" in one.dump().readiness.reasons


def test_snapshot_is_taken_before_the_app_can_change_the_answer(one: Recording):
    """What the app does with a list isn't in the record."""
    one.call([1, 2], boundary=SNAPSHOT).clear()
    assert [[1, 2]] == [interaction.answer for interaction in one.dump().recording.interactions]


def test_call_in_two_halves_is_kept_as_one_in_one_piece(one: Recording):
    """Its answer, as it was when it ended where the boundary wants that, or its error; what lies between is beneath."""
    answer, error, recorder = [1, 2], KeyError("x"), one.recorder

    with entered(recorder.lane):
        first = recorder.begin(SNAPSHOT, Call(request()))
        assert crossing() is None
        first.end(answer)
        answer.clear()
        recorder.begin(DB, Call(request("save"))).fail(error)
        assert crossing() is recorder
        recorder.begin(DB, Call(request("last")))
    kept, failed, unfinished = one.dump().recording.interactions

    assert ([1, 2], "builtins:KeyError") == (kept.answer, failed.error["type"])
    assert (False, True, True) == (kept.failed, failed.failed, unfinished.failed)
    assert kept.started_ns <= kept.ended_ns <= failed.started_ns <= failed.ended_ns


def test_call_in_two_halves_after_the_end_is_live_and_counted(one: Recording):
    """In no run's lane meanwhile, and back in its own behind it."""
    one.dump()

    with entered(one.recorder.lane):
        late = one.recorder.begin(DB, Call(request()))
        assert crossing() is None
        late.fail(KeyError("x"))
        assert one.recorder.lane is current_lane()

    assert (1, []) == (one.recorder.late, one.recorder.crossings)


def test_calls_over_the_bound_are_made_and_not_kept():
    """The run is unready, and its memory bounded."""
    one = Recording(max_interactions=2)
    assert list(range(5)) == [one.call(number) for number in range(5)]
    run = one.dump()
    assert (2, ("over-bound",)) == (len(run.recording.interactions), run.readiness.reasons)


def test_calls_after_the_end_are_live_and_counted(one: Recording):
    """Sync and async; nothing is kept."""
    one.dump()

    async def live() -> int:
        return 2

    assert 1 == one.call(1)
    assert 2 == asyncio.run(one.recorder.acall(DB, Call(request()), live))
    assert (2, []) == (one.recorder.late, [c for c in one.recorder.crossings if c.over is False])


def test_call_under_way_at_the_end_is_unfinished_and_its_lane_keeps_its_reads(one: Recording):
    """A thread that still waits: the call is in the run as such, with the reads made before it."""
    begun, go_on = threading.Event(), threading.Event()
    lane = one.recorder.lane.spawn("worker")

    def live() -> str:
        begun.set()
        assert go_on.wait(10)
        return "late"

    def work() -> None:
        with entered(lane):
            code = work.__code__
            lane.ambient.append(("os.urandom", code, 0, b"read"))
            one.recorder.call(DB, Call(request()), live)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    run = one.dump()
    one.recorder.release()
    go_on.set()
    thread.join()

    (interaction,) = run.recording.interactions
    assert ("unfinished", True) == (interaction.error["type"], interaction.failed)
    assert ["os.urandom"] == [read.function for segment in run.recording.segments for read in segment.reads]
    assert lane.ambient is None


def test_lane_that_outlives_a_released_run_collects_nothing(one: Recording):
    """No list grows behind a run that is over, and new lanes have none."""
    lane = one.recorder.lane.spawn("background")
    one.dump()
    one.recorder.release()
    assert lane.ambient is None
    assert Lane(one.recorder).ambient is None


def test_released_run_holds_no_answer(one: Recording):
    """References live no longer than the run."""

    class Answer:
        pass

    answer = Answer()
    gone = weakref.ref(answer)
    one.call(answer)
    one.dump()
    one.recorder.release()
    del answer
    gc.collect()
    assert gone() is None


def test_run_ends_once(one: Recording):
    """A second ending is ignored."""
    one.dump()
    one.recorder.finish(Ending(dump=lambda: ({}, {})))
    assert 1 == len(one.endings)


def test_ambient_values_are_read_live_and_kept_in_order(one: Recording):
    """An error passes and leaves nothing."""
    values = iter(["a", None])

    def missing() -> Any:
        raise KeyError("HOME")

    assert ["a", None] == [one.recorder.read("environment", "MODE", lambda: next(values)) for _ in range(2)]
    with pytest.raises(KeyError):
        one.recorder.read("environment", "HOME", missing)
    assert {"environment": {"MODE": ["a", None]}} == one.dump().recording.reads


@pytest.mark.parametrize(
    ("level", "kept"), [("DEBUG", False), ("WARNING", True), ("\x1b[31mERROR", True), ("Level 5", True)]
)
def test_log_records_are_kept_by_level_and_a_renamed_level_disturbs_nobody(level: str, kept: bool):
    """Formatters rewrite level names; the host's logging goes on."""
    one = Recording(log_level=logging.INFO)
    one.recorder.log({"message": "m", "level": level, "logger": "app"})
    assert kept is bool(one.recorder.logs)


def test_preamble_is_dumped_like_a_run():
    """What happened before the first run."""
    one = Recording(preamble=True)
    one.call("a")
    one.recorder.close()
    assert ["a"] == [interaction.answer for interaction in dump_preamble(one.recorder).recording.interactions]


def test_lane_variable_is_left_as_it_was(one: Recording):
    """A run leaves no trace in its thread."""
    one.call(1)
    assert LANE.get() is None


class Heavy(Db):
    """A boundary whose answers say how large they are."""

    def weigh(self, result: Any) -> int:
        return len(result)


def test_answers_over_the_bound_in_bytes_are_made_live_and_kept_no_more() -> None:
    """Each answer counts once; calls beyond the bound are answered live, and the run says so."""
    recording, heavy = Recording(max_bytes=1000), Heavy()

    seen = [recording.call("x" * 400, boundary=heavy) for _ in range(6)]

    assert ["x" * 400] * 6 == seen
    assert 3 == len(recording.recorder.crossings)
    assert recording.recorder.over_bound
    assert 1200 + 3 * 1024 == recording.recorder.size_bytes()
    assert "over-bound" in recording.dump().readiness.reasons
