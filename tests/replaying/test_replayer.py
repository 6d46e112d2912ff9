"""The replayer: recorded answers, drift that is noted, and a miss that nothing can swallow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import entered
from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.host import HOST
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import VirtualLoop
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Interaction, LaneSpec, Recording
from pytest_fluxrun.run import Run as StoredRun
from pytest_fluxrun.values import dump_error, encode
from tests.plain_boundary import PlainBoundary

MS = 1_000_000


DB = PlainBoundary()


def never() -> Any:
    raise AssertionError("a live call was made")


def request(method: str, *args: Any) -> dict[str, Any]:
    return {"target": "db", "method": method, "args": list(args), "kwargs": {}, "effect": None}


def recorded(
    method: str, *args: Any, answer: Any = None, error: Any = None, lane: int = 0, took_ms: int = 0
) -> Interaction:
    form = request(method, *args)
    return Interaction(
        "db",
        "host",
        1,
        lane,
        0,
        took_ms * MS,
        encode(form),
        encode(answer),
        error,
        error is not None,
        HOST.is_effect(form),
    )


def recording(*interactions: Interaction, lanes: tuple[LaneSpec, ...] = (LaneSpec((), ()),), **reads: Any) -> Recording:
    return Recording(1_700_000_000 * 10**9, 0, 0, 10**9, lanes, interactions, reads=reads)


class Run:
    """One replay and what it takes to make calls in it."""

    def __init__(
        self,
        of: Recording,
        loop: VirtualLoop,
        preamble: Recording | None = None,
        earlier: Recording | None = None,
        **options: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.loop = loop
        shared = Answers(preamble, earlier=earlier)
        self.replayer = Replayer(of, run_id="0" * 26, shared=shared, clock=self.clock, **options)

    def do(self, function: Callable[[], Any]) -> Any:
        with entered(self.replayer.lane):
            return event_loop.call(function, self.clock)

    def drive(self, make: Callable[[], Any]) -> Any:
        with entered(self.replayer.lane):
            return event_loop.drive(self.loop, make(), self.clock)

    def ask(self, method: str, *args: Any, otherwise: Any = None) -> Any:
        return self.do(lambda: self.replayer.call(DB, Call(request(method, *args), otherwise), never))

    async def aask(self, method: str, *args: Any) -> Any:
        return await self.replayer.acall(DB, Call(request(method, *args)), never)

    @property
    def drifts(self) -> list[tuple[DriftKind, int]]:
        return [(drift.kind, drift.call) for drift in self.replayer.drifts]


@pytest.fixture
def new_run(lane_seams: None, virtual_loop: VirtualLoop):
    runs: list[Run] = []

    def new(*interactions: Interaction, preamble: Recording | None = None, **options: Any) -> Run:
        runs.append(Run(recording(*interactions, **options), virtual_loop, preamble))
        return runs[-1]

    yield new
    for run in runs:
        run.replayer.close()
        event_loop.finish(virtual_loop, run.clock)


def test_recorded_answers_come_back_and_nothing_is_live(new_run):
    """Values and errors, sync and async, without drift."""
    run = new_run(recorded("get", 1, answer=(1, "a")), recorded("save", 1, error=dump_error(KeyError("x"))))

    assert (1, "a") == run.ask("get", 1)
    with pytest.raises(KeyError, match="x"):
        run.drive(lambda: run.aask("save", 1))
    assert [] == run.drifts
    assert [(0, "run", False), (1, "run", True)] == [(one.index, one.source, one.effect) for one in run.replayer.played]


def test_call_lasts_as_long_as_it_was_recorded(new_run):
    """On the virtual clock, sync and async, so that hedged calls keep their order."""
    run = new_run(recorded("get", 1, took_ms=250), recorded("get", 2, took_ms=500))
    run.ask("get", 1)
    assert 250 * MS <= run.clock.now_ns() < 260 * MS
    run.drive(lambda: run.aask("get", 2))
    assert 750 * MS <= run.clock.now_ns() < 770 * MS


@pytest.mark.parametrize("kind", ["unfinished", "asyncio.exceptions:CancelledError"])
def test_call_that_never_ended_ends_by_the_apps_own_time_out(new_run, kind: str):
    """No answer is invented for it."""
    run = new_run(recorded("get", 1, error={"type": kind, "args": [], "message": "", "attributes": {}}, took_ms=5))

    async def impatient() -> str:
        try:
            return await asyncio.wait_for(run.aask("get", 1), 2)
        except TimeoutError:
            return "timed out"

    assert "timed out" == run.drive(impatient)
    assert 2000 * MS <= run.clock.now_ns() < 2010 * MS


def test_unrecorded_call_is_latched_and_swallowing_it_changes_nothing(new_run):
    """The first miss stays; every later crossing raises it, also one that is recorded."""
    run = new_run(recorded("charge", {"amount": 1000}), recorded("get", 1))

    with pytest.raises(UnrecordedCall) as first:
        run.ask("refund", {"amount": 1200})
    with pytest.raises(UnrecordedCall) as second:
        run.ask("get", 1)
    with pytest.raises(UnrecordedCall):
        run.drive(lambda: run.aask("get", 1))

    assert first.value is run.replayer.unrecorded
    assert first.value is second.value
    assert "db db.refund({'amount': 1200})" == first.value.asked
    assert [0, 1] == list(run.replayer.matcher.unplayed())


def test_a_miss_of_start_up_is_not_latched(virtual_loop):
    """What start-up swallows doesn't keep what it asks for next from being answered; both misses are named."""
    run = Run(recording(recorded("get", 1, answer="a")), virtual_loop, preamble=None)
    run.replayer.preamble = True

    for amount in (1, 2):
        with pytest.raises(UnrecordedCall):
            run.ask("refund", amount)

    assert "a" == run.ask("get", 1)
    assert ["db db.refund(1)", "db db.refund(2)"] == [missed.asked for missed in run.replayer.missed]


def test_endless_misses_of_start_up_are_named_a_hundred_times(virtual_loop):
    """A thread of the app may ask for ever."""
    run = Run(recording(), virtual_loop, preamble=None)
    run.replayer.preamble = True
    for number in range(150):
        with pytest.raises(UnrecordedCall):
            run.ask("get", number)
    run.replayer.returned = True
    for number in range(150):
        with pytest.raises(UnrecordedCall):
            run.ask("get", number)

    assert [100, 100] == [len(run.replayer.missed), len(run.replayer.late)]


def test_request_that_holds_too_little_is_latched_like_a_call(new_run):
    """What an entry's program asks it for and the run lacks: the first one stays, and no call is answered after it."""
    run = new_run(recorded("get", 1))

    error = run.replayer.lacks("more of the request's body")

    assert error is run.replayer.unrecorded is run.replayer.lacks("something else")
    assert "more of the request's body" == error.asked
    with pytest.raises(UnrecordedCall) as raised:
        run.ask("get", 1)
    assert error is raised.value


def test_miss_shows_the_nearest_call_and_where_it_differs(new_run):
    """What was asked, what was recorded, and the paths."""
    run = new_run(recorded("get", {"id": 1, "deep": [1, 2]}))
    with pytest.raises(UnrecordedCall) as raised:
        run.ask("get", {"id": 2, "deep": [1, 3]})
    assert raised.value.nearest.startswith("db db.get(")
    assert ("request.args[0].id", "request.args[0].deep[1]") == raised.value.differs
    assert raised.value.next_step


def test_miss_in_another_thread_is_latched_too(new_run):
    """A thread of the run that dies of it doesn't hide it."""
    run = new_run()
    caught = []

    def work() -> None:
        try:
            run.replayer.call(DB, Call(request("get", 1)), never)
        except UnrecordedCall as error:
            caught.append(error)

    def start_and_join() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    run.do(start_and_join)

    assert caught == [run.replayer.unrecorded]


def test_identical_read_is_answered_again_a_hundred_times(new_run):
    """Each is noted, and one more is a miss."""
    run = new_run(recorded("get", 1, answer="a"), recorded("get", 1, answer="b"))

    assert ["a", *["b"] * 101] == [run.ask("get", 1) for _ in range(102)]
    assert [(DriftKind.REPEATED_READ, 2)] * 100 == run.drifts
    with pytest.raises(UnrecordedCall):
        run.ask("get", 1)


def test_effect_is_never_repeated(new_run):
    """A second identical charge has no answer."""
    run = new_run(recorded("charge", 1, answer="ok"))
    run.ask("charge", 1)
    with pytest.raises(UnrecordedCall):
        run.ask("charge", 1)


def test_changed_effect_is_served_and_noted_with_its_path(new_run):
    """The run goes on, and the drift names call, path and both values."""
    run = new_run(recorded("charge", {"amount": 1000}, answer="ok"))

    assert "ok" == run.ask("charge", {"amount": 1200})

    (drift,) = run.replayer.drifts
    assert (DriftKind.CHANGED_EFFECT, 1) == (drift.kind, drift.call)
    assert "db db.charge({'amount': 1200})" == drift.text
    assert ("call[1].request.args[0].amount: 1000 → 1200",) == drift.paths


def test_effects_of_a_lane_in_another_order_are_noted(new_run):
    """Each got its own answer, and the order is told."""
    run = new_run(recorded("debit", 1), recorded("get", 1), recorded("credit", 1))

    for method in ("credit", "get", "debit"):
        run.ask(method, 1)

    assert [(DriftKind.REORDERED, 1)] == run.drifts
    assert ("call[1]: before call[3] → after it",) == run.replayer.drifts[0].paths


def test_reads_in_another_order_are_no_drift(new_run):
    """Independent reads may be reordered."""
    run = new_run(recorded("get", 1, answer=1), recorded("charge", 1), recorded("get", 2, answer=2))
    assert [2, 1] == [run.ask("get", 2), run.ask("get", 1)]
    run.ask("charge", 1)
    assert [] == run.drifts


def test_concurrent_tasks_that_are_reordered_are_no_drift(new_run):
    """Tasks whose spawning changed places: the effects of each keep their order, so nothing is noted."""
    lanes = (LaneSpec((), ()), *(LaneSpec((("order", n),), (n,)) for n in (1, 2)))
    run = new_run(
        *(recorded(method, n, answer=n, lane=n) for n in (1, 2) for method in ("debit", "credit")),
        recorded("commit", lane=1),
        recorded("commit", lane=2),
        lanes=lanes,
    )

    async def order(n: int) -> None:
        for method in ("debit", "credit"):
            assert n == await run.aask(method, n)
        await run.aask("commit")

    async def both() -> None:
        await asyncio.gather(order(2), order(1))

    for coroutine in (order, both):
        coroutine.__qualname__ = coroutine.__name__
    run.drive(both)

    assert [] == run.drifts
    assert [] == list(run.replayer.matcher.unplayed())


def test_preamble_answers_any_number_of_times_but_its_effects_are_new_ones(new_run):
    """A run that repeats a read of start-up is served, noted once; one that repeats an effect is told as such."""
    run = new_run(preamble=recording(recorded("get", 1, answer="a"), recorded("save", 1, answer="b")))

    assert ["a", "a"] == [run.ask("get", 1), run.ask("get", 1)]
    assert [(DriftKind.NEW_READ, 0)] == run.drifts
    assert "b" == run.ask("save", 1)
    assert [(DriftKind.NEW_READ, 0), (DriftKind.NEW_EFFECT, 0)] == run.drifts
    assert {"preamble"} == {one.source for one in run.replayer.played}


def test_boundary_may_answer_what_is_local_to_it(new_run):
    """`otherwise` is asked where nothing is recorded, and a recorded answer wins over it."""
    run = new_run(recorded("get", 1, answer="recorded"))
    assert "recorded" == run.ask("get", 1, otherwise=lambda: "local")
    assert "local" == run.ask("open", 1, otherwise=lambda: "local")
    assert run.replayer.unrecorded is None


def test_program_unwinds_after_a_miss(new_run):
    """A rollback is answered, by the run or by the boundary: no pooled connection is left in mid-transaction."""
    run = new_run(recorded("get", 1, answer="rolled back"))
    with pytest.raises(UnrecordedCall) as first:
        run.ask("refund", 1)
    assert "rolled back" == run.ask("get", 1, otherwise=lambda: "local")
    assert "local" == run.ask("close", 1, otherwise=lambda: "local")
    assert first.value is run.replayer.unrecorded
    assert [] == list(run.replayer.matcher.unplayed())


def test_local_answer_never_stands_in_for_an_effect_of_other_arguments(new_run):
    """A boundary's own answer doesn't take a recorded effect away."""
    run = new_run(recorded("save", 1))
    assert "local" == run.ask("save", 2, otherwise=lambda: "local")
    assert [0] == list(run.replayer.matcher.unplayed())


def test_call_after_the_end_is_named_and_refused(new_run):
    """A background task that outlives its run gets no answer, and the run says so."""
    run = new_run(recorded("get", 1))
    run.replayer.close()

    with pytest.raises(UnrecordedCall):
        run.ask("get", 1)

    assert ["db db.get(1)"] == run.replayer.late
    assert run.replayer.unrecorded is None


def test_ambient_values_come_in_order_and_the_last_one_stays(new_run):
    """A key that was never read is read live."""
    run = new_run(environment={"MODE": [encode("a"), encode(None)]})
    read = run.replayer.read
    assert ["a", None, None] == [read("environment", "MODE", lambda: "live") for _ in range(3)]
    assert "live" == read("environment", "OTHER", lambda: "live")
    assert "live" == read("verification", "MODE", lambda: "live")


def test_lane_reads_its_own_clock_again_when_a_call_is_over(new_run):
    """Whatever an answer raises, crossings after it are seen."""
    run = new_run(recorded("get", 1, error=dump_error(ValueError("x"))), recorded("get", 2, answer=2))
    lane = run.replayer.lane
    ambient = lane.ambient

    with pytest.raises(ValueError, match="x"):
        run.ask("get", 1)

    assert (ambient, False) == (lane.ambient, lane.inside)
    assert 2 == run.ask("get", 2)


def test_async_body_is_prepared_once_before_the_request_is_made(new_run):
    """What only a coroutine can read is read before matching, and once."""
    run = new_run(recorded("get", "body", answer="ok"))
    body: list[str] = []

    async def prepare() -> None:
        body.append("body")

    async def ask() -> Any:
        return await run.replayer.acall(DB, Call(lambda: request("get", *body), prepare=prepare), never)

    assert "ok" == run.drive(ask)
    assert ["body"] == body


def test_read_that_uses_its_answer_up_is_not_repeated() -> None:
    """A kind may say that the same read made again is another one: the second is a miss, not the last answer again."""

    class Queue(type(HOST)):  # type: ignore[misc]  # a class that is only known as the type of HOST
        def may_repeat(self, request: Any) -> bool:
            return False

    class Messages(PlainBoundary):
        kind = Queue()

    recording = Recording(0, 0, 0, 0, (LaneSpec((), ()),), (recorded("get_next", answer="one"),))
    clock = VirtualClock()
    replayer = Replayer(recording, run_id="r", shared=Answers(recording), clock=clock)

    def ask() -> list[Any]:
        call = Call(request("get_next"))
        return [replayer.call(Messages(), call, never), replayer.call(Messages(), call, never)]

    with entered(replayer.lane), pytest.raises(UnrecordedCall):
        event_loop.call(ask, clock)
    assert [] == replayer.drifts


def test_read_of_a_cold_process_is_answered_by_an_earlier_run(virtual_loop):
    """Any number of times, as drift, and only where neither the run nor its preamble has an answer."""
    earlier = recording(recorded("get", 1, answer="old"), recorded("get", 2, answer="cached"))
    run = Run(recording(recorded("get", 1, answer="own")), virtual_loop, None, earlier)

    answers = [run.ask("get", 1), run.ask("get", 2), run.ask("get", 2)]

    assert ["own", "cached", "cached"] == answers
    assert [(DriftKind.COLD_READ, 0)] * 2 == run.drifts
    assert run.replayer.unrecorded is None


def test_effect_is_never_answered_by_an_earlier_run(virtual_loop):
    """What a run before did once isn't done again for this one: the effect is a miss."""
    run = Run(recording(), virtual_loop, None, recording(recorded("refund", 1, answer="done")))

    with pytest.raises(UnrecordedCall):
        run.ask("refund", 1)


def test_variable_that_only_an_earlier_run_read_has_its_value(virtual_loop):
    """The machine's own is asked only where no run of the process read it."""
    run = Run(recording(), virtual_loop, None, recording(environment={"MODE": ["fast"]}))

    assert "fast" == run.replayer.read("environment", "MODE", lambda: "here")
    assert "here" == run.replayer.read("environment", "OTHER", lambda: "here")


def unread(earlier: Recording, *, damaged: bool = False) -> Recording:
    """What earlier runs had read as a bundle gives it: nobody has looked at it yet."""
    payload = StoredRun("r", "p", "db", "function", None, None, recording(), earlier=earlier).to_payload()
    if damaged:
        payload = payload.replace(b'"earlier":{"wall_ns":', b'"earlier":{"no":')
    again = StoredRun.from_payload(payload)
    assert again.earlier is not None
    return again.earlier


def test_earlier_run_is_read_in_the_middle_of_a_replay(virtual_loop):
    """Once a call finds nothing else."""
    earlier = unread(recording(recorded("get", 2, answer="cached"), environment={"MODE": ["fast"]}))
    run = Run(recording(), virtual_loop, None, earlier)

    answers = [run.ask("get", 2), run.do(lambda: run.replayer.read("environment", "MODE", lambda: "here"))]

    assert ["cached", "fast"] == answers
    assert run.replayer.unrecorded is None


def test_damaged_earlier_run_is_a_miss_that_is_kept(virtual_loop):
    """Code that swallows it gets no other answer."""
    run = Run(recording(), virtual_loop, None, unread(recording(recorded("get", 2, answer="cached")), damaged=True))

    with pytest.raises(UnrecordedCall, match="isn't a run"):
        run.replayer.read("environment", "MODE", lambda: "here")
    with pytest.raises(UnrecordedCall, match="isn't a run"):
        run.ask("get", 2)
    assert "environment MODE" == run.replayer.unrecorded.asked


def test_damaged_earlier_run_is_no_answer_to_a_call(virtual_loop):
    """As where a variable was asked for."""
    run = Run(recording(), virtual_loop, None, unread(recording(recorded("get", 2, answer="cached")), damaged=True))

    with pytest.raises(UnrecordedCall, match="isn't a run"):
        run.ask("get", 2)
    assert "db db.get(2)" == run.replayer.unrecorded.asked


def test_answer_that_is_given_again_takes_no_time(virtual_loop):
    """The recorded time has no room for a read that is made twice, so that what follows isn't late."""
    run = Run(recording(recorded("get", 1, answer="a", took_ms=40)), virtual_loop)

    run.ask("get", 1)
    once_ns = run.clock.now_ns()
    run.ask("get", 1)

    assert once_ns >= 40 * MS
    assert run.clock.now_ns() - once_ns < MS


async def _stopped_after(run: Run, seconds: float, *asked: Any) -> BaseException:
    """What becomes of a call whose task is cancelled."""
    task = asyncio.ensure_future(run.aask(*asked))
    await asyncio.sleep(seconds)
    task.cancel()
    (raised,) = await asyncio.gather(task, return_exceptions=True)
    return raised


def test_read_in_a_task_that_is_stopped_at_once_is_late_and_no_miss(new_run):
    """The recorded program was stopped before it asked: computing took time there."""
    run = new_run()

    assert isinstance(run.drive(lambda: _stopped_after(run, 0.04, "get", 1)), asyncio.CancelledError)
    assert run.replayer.unrecorded is None
    assert ["db db.get(1)"] == run.replayer.late


@pytest.mark.parametrize(("seconds", "method"), [(0.2, "get"), (0.04, "save")])
def test_stopping_hides_no_effect_and_no_read_of_long_ago(new_run, seconds, method):
    """Those are misses."""
    run = new_run()

    assert isinstance(run.drive(lambda: _stopped_after(run, seconds, method, 1)), UnrecordedCall)
    assert f"db db.{method}(1)" == run.replayer.unrecorded.asked


def test_read_in_a_thread_whose_run_ends_at_once_is_late_and_no_miss(new_run):
    """As a task's is."""
    run = new_run()

    def ended() -> None:
        run.replayer.returned = True

    async def body() -> BaseException:
        asyncio.get_running_loop().call_later(0.04, ended)
        (raised,) = await asyncio.gather(
            asyncio.to_thread(lambda: run.replayer.call(DB, Call(request("get", 1)), never)), return_exceptions=True
        )
        return raised

    assert isinstance(run.drive(body), UnrecordedCall)
    assert run.replayer.unrecorded is None
    assert ["db db.get(1)"] == run.replayer.late
