"""Captured functions: one run for each outermost call, and the same call again at replay."""

from __future__ import annotations

import asyncio
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from pytest_fluxrun.context import current_lane, entered
from pytest_fluxrun.entries.function import capture, entry
from pytest_fluxrun.entry import registered_entry, set_opener
from pytest_fluxrun.errors import DeadlineExceeded, EntryNotFound, SettingsError
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.values import decode, has_opaque

if TYPE_CHECKING:
    from array import array


@dataclass
class Order:
    total: Decimal
    lines: tuple[str, ...] = ()


def drive(function: Any, driving: Any, recorded_input: Any) -> Any:
    return entry.drive(function, recorded_input, driving)


def test_call_is_a_run_with_arguments_and_result(runs, driving):
    """Typed arguments come back from the function's annotations, and the outcome is the same."""

    @capture("double")
    def double(order: Order, *more: Order, by: Decimal = Decimal(2)) -> Order:
        return Order(sum((one.total for one in more), order.total) * by, order.lines)

    returned = double(Order(Decimal("1.5"), ("a",)), Order(Decimal(1)), by=Decimal(3))
    recorded_input, outcome = runs.dumped()

    assert Order(Decimal("7.5"), ("a",)) == returned == decode(outcome["returned"], Order)
    assert outcome["error"] is None
    assert outcome == drive(double, driving, recorded_input)
    assert "double" == runs.finished[0][0].entry
    assert double is registered_entry("double").target


def test_coroutine_is_a_run(runs, driving):
    """Awaited, in the run's lane, and driven on the loop."""

    @capture("double")
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        assert set_opener is not None
        return number * 2

    assert 4 == asyncio.run(double(2))
    recorded_input, outcome = runs.dumped()
    assert {"returned": 4, "error": None} == outcome == drive(double, driving, recorded_input)


def test_coroutine_beneath_a_plain_decorator_is_awaited_in_its_run(runs, driving):
    """The run ends with the coroutine, not with the call that made it."""

    async def double(number: int) -> int:
        assert current_lane() is not None or not runs.opened
        return number * 2

    captured = capture("double")(functools.partial(double, 2))

    assert 4 == asyncio.run(captured())
    recorded_input, outcome = runs.dumped()
    assert 4 == outcome["returned"]
    set_opener(None)
    runs.opened.clear()
    assert outcome == drive(captured, driving, recorded_input)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), TimeoutError(), asyncio.CancelledError()])
def test_raised_error_passes_and_is_the_outcome(runs, driving, error: BaseException):
    """The very same object reaches the caller; time-outs and cancellations are told apart."""

    @capture("fail")
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        fail()

    assert error is raised.value
    assert error is runs.ending.error
    assert isinstance(error, asyncio.CancelledError | TimeoutError) is runs.ending.timed_out
    recorded_input, outcome = runs.dumped()
    assert outcome["error"]["type"].endswith(type(error).__name__)
    assert outcome["error"]["type"] == drive(fail, driving, recorded_input)["error"]["type"]


@pytest.mark.parametrize("error", [DeadlineExceeded("10 s"), KeyboardInterrupt()])
def test_deadline_and_interrupt_are_no_outcome_of_a_replay(driving, error: BaseException):
    """They end the replay, whatever the function is."""

    @capture("fail")
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        drive(fail, driving, {"args": [], "kwargs": {}})


def test_wrong_arguments_are_an_outcome(runs, driving):
    """A call that doesn't fit is a run that raised TypeError, sync and async."""

    @capture("one")
    def one(number: int) -> int:
        return number

    @capture("two")
    async def two(number: int) -> int:
        return number

    with pytest.raises(TypeError):
        one()
    with pytest.raises(TypeError):
        asyncio.run(two(1, 2))
    for number, function in enumerate((one, two)):
        recorded_input, outcome = runs.dumped(number)
        assert "builtins:TypeError" == outcome["error"]["type"]
        assert outcome["error"]["message"] == drive(function, driving, recorded_input)["error"]["message"]


def test_call_inside_a_run_is_part_of_it(runs):
    """A captured function in a captured function: one run, sync and async."""

    @capture("inner")
    def inner() -> int:
        return 1

    @capture("outer")
    async def outer() -> int:
        return inner() + await nested()

    @capture("nested")
    async def nested() -> int:
        return inner()

    assert 2 == asyncio.run(outer())
    assert ["outer"] == [recorder.entry for recorder in runs.opened]


def test_call_in_a_lane_that_outlived_its_run_is_a_run_of_its_own(runs):
    """A worker that a request started isn't part of that request for ever."""

    @capture("job")
    def job() -> int:
        return 1

    first = Recorder("web", "asgi", lambda *_: None)
    with entered(first.lane):
        job()
        first.close()
        job()

    assert ["job"] == [recorder.entry for recorder in runs.opened]


def test_nothing_is_recorded_in_a_replay(runs):
    """A replay's lane, start-up included, opens no run even where the process records."""

    class Replaying:
        clock: Any = object()
        preamble = True
        closed = False

        def ambient_for(self, lane: Any) -> None:
            return None

    from pytest_fluxrun.context import Lane

    with entered(Lane(Replaying())):
        capture("job")(lambda: 1)()
    assert [] == runs.opened


def test_arguments_and_result_are_kept_as_they_were_at_the_call(runs):
    """What the function or its caller changes later isn't in the record."""

    @capture("spoil")
    def spoil(items: list[int]) -> list[int]:
        items.clear()
        return items

    spoil([1, 2]).append(3)
    recorded_input, outcome = runs.dumped()
    assert [[1, 2]] == recorded_input["args"]
    assert [] == outcome["returned"]


class Hostile:
    """Raises at every look."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")


def test_object_that_cannot_be_looked_at_disturbs_nobody(runs):
    """The host gets its result, the run an opaque marker."""

    @capture("same")
    def same(thing: Any) -> Any:
        return thing

    thing = Hostile()
    assert same(thing) is thing
    _, outcome = runs.dumped()
    assert "opaque" == outcome["returned"]["~"]


def test_concurrent_runs_have_their_own_lanes(runs):
    """Threads and tasks: as many runs as calls, none sees another's."""
    seen: list[Any] = []
    barrier = threading.Barrier(4)

    @capture("job")
    def job(number: int) -> int:
        barrier.wait(10)
        seen.append(current_lane())
        return number

    @capture("task")
    async def task(number: int) -> int:
        await asyncio.sleep(0)
        seen.append(current_lane())
        await asyncio.sleep(0)
        assert current_lane() in seen
        return number

    async def tasks() -> list[int]:
        return await asyncio.gather(*(task(number) for number in range(50)))

    with ThreadPoolExecutor(4) as pool:
        assert list(range(4)) == list(pool.map(job, range(4)))
    assert list(range(50)) == asyncio.run(tasks())

    assert 54 == len({id(lane) for lane in seen}) == len(runs.finished)
    assert current_lane() is None


def test_annotation_for_type_checkers_only_leaves_the_others_resolved(runs, driving):
    """A name that isn't there at run time costs its own parameter's type and no more."""

    @capture("count")
    def count(order: Order, numbers: array[int] | None = None) -> Decimal:
        return order.total

    assert Decimal(2) == count(Order(Decimal(2)))
    recorded_input, outcome = runs.dumped()
    assert outcome == drive(count, driving, recorded_input)


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize("target", [generator, async_generator, 3, Order])
def test_what_has_no_single_outcome_is_refused(target: Any):
    """Generators, classes and what isn't callable are named."""
    with pytest.raises(SettingsError):
        capture("it")(target)
    with pytest.raises(EntryNotFound):
        registered_entry("it")


def test_without_recording_the_function_runs_bare():
    """No opener: arguments and result are passed as they are."""

    @capture("same")
    def same(thing: Any) -> Any:
        assert current_lane() is None
        return thing

    thing = object()
    assert same(thing) is thing
    assert "same" == same.__name__


class Shop:
    """What a decorator meets in a class's body."""

    def sell(self) -> None:
        """A method."""

    @classmethod
    def open(cls) -> None:
        """A class method."""


@pytest.mark.parametrize("target", [Shop.sell, vars(Shop)["open"]])
def test_method_is_refused_and_the_error_says_what_to_do(target: Any):
    """Its object is in no bundle."""
    with pytest.raises(SettingsError) as raised:
        capture("it")(target)
    assert "needs its object" in raised.value.why
    assert "calls the method" in raised.value.next_step


def test_static_and_bound_methods_are_functions(runs, driving):
    """Decorated in the body, above `@staticmethod` or beneath it, or taken from an object."""

    class Counter:
        step = 2

        @capture("above")
        @staticmethod
        def above(number: int) -> int:
            return number + 1

        @staticmethod
        @capture("beneath")
        def beneath(number: int) -> int:
            return number + 1

        def add(self, number: int) -> int:
            return number + self.step

    bound = capture("bound")(Counter().add)
    assert [3, 3, 4] == [Counter.above(2), Counter().beneath(2), bound(2)]
    for number, name in enumerate(("above", "beneath", "bound")):
        recorded_input, outcome = runs.dumped(number)
        assert outcome == drive(registered_entry(name).target, driving, recorded_input)


def test_function_beneath_a_click_command_is_recorded_with_its_parsed_values(runs, driving):
    """In either order with the options; `@capture` above the command itself is the entry click's affair."""

    @click.command()
    @click.option("--times", type=int)
    @capture("beneath")
    @click.argument("word")
    def repeat(word: str, times: int) -> str:
        return word * times

    assert "abab" == repeat.main(["ab", "--times", "2"], "repeat", standalone_mode=False)
    recorded_input, outcome = runs.dumped()
    assert {"word": "ab", "times": 2} == recorded_input["kwargs"]
    assert outcome == drive(registered_entry("beneath").target, driving, recorded_input)


def test_command_is_recorded_with_its_words_and_what_it_prints(runs, driving):
    """`@capture` above `@click.command()`: the entry click; the text goes where it went, too."""

    @capture("command")
    @click.command()
    @click.argument("word")
    def shout(word: str) -> None:
        click.echo(word.upper())
        raise click.ClickException("hoarse")

    result = CliRunner().invoke(shout, ["ab"])

    assert (1, "AB\nError: hoarse\n") == (result.exit_code, result.output)
    recorded_input, outcome = runs.dumped()
    assert ["ab"] == recorded_input["args"]
    assert {"exit_code": 1, "output": "AB\n", "returned": None} == outcome["returned"]
    assert "builtins:SystemExit" == outcome["error"]["type"]
    found = registered_entry("command")
    assert outcome == found.entry.drive(found.target, recorded_input, driving)


class Context:
    """A Lambda context with less time at each look."""

    aws_request_id = "7"
    left = 5

    def get_remaining_time_in_millis(self) -> int:
        self.left -= 1
        return self.left


def test_lambda_run_is_stored_before_the_handler_returns(driving):
    """AWS freezes the process after that."""
    order: list[str] = []
    recorded: list[Any] = []

    def finished(_: Any, ending: Any) -> None:
        order.append("finished")
        recorded.append(ending)

    set_opener(lambda name, how: Recorder(name, how.kind, finished), lambda: order.append("flushed"))

    @capture("handler")
    def handler(event: Any, context: Any) -> int:
        assert "7" == context.aws_request_id
        return context.get_remaining_time_in_millis()

    assert 3 == handler({}, Context())
    assert ["finished", "flushed"] == order
    recorded_input, _ = recorded[0].dump()
    assert 4 == recorded_input["context"]["remaining_ms"]
    assert 4 == drive(handler, driving, recorded_input)["returned"]  # by the clock: no session answers here


def test_lambda_context_answers_as_it_did(runs):
    """What remained is read anew each time, and each answer is in the run."""

    @capture("handler")
    def handler(event: Any, context: Any) -> list[int]:
        return [context.get_remaining_time_in_millis(), context.get_remaining_time_in_millis()]

    assert [3, 2] == handler({}, Context())
    ((recorder, _),) = runs.finished
    assert {"remaining_ms": [3, 2]} == recorder.reads["aws_lambda"]


def test_lambda_context_that_cannot_be_looked_at_disturbs_nobody(runs):
    """Its handler runs; the run says that it lacks it."""

    class Broken(Context):
        def get_remaining_time_in_millis(self) -> int:
            raise RuntimeError

    @capture("handler")
    def handler(event: Any, context: Any) -> int:
        return 1

    assert 1 == handler({}, Broken())
    assert has_opaque(runs.dumped()[0])


def test_bare_function_is_not_recognised():
    """`instrument` doesn't guess what a function is."""
    assert not entry.recognises(generator)
