"""Functions, Lambda handlers, click commands, Celery tasks and Dramatiq actors pass the entry contract."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import celery
import click
import dramatiq
import pytest
from celery.app.trace import trace_task_ret
from celery.concurrency.solo import TaskPool as SoloPool
from celery.concurrency.thread import TaskPool as ThreadPool
from click.testing import CliRunner
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from pytest_fluxrun.entries.celery import entry as celery_entry
from pytest_fluxrun.entries.click import entry as click_entry
from pytest_fluxrun.entries.dramatiq import entry as dramatiq_entry
from pytest_fluxrun.entries.function import entry as function_entry
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries.task_behaviours import exercises
from tests.entries.web_behaviours import aask, ask

# -- functions


def itself(_: Any, function: Callable[..., Any]) -> Any:
    return function


def call(function: Any, _: Any, arguments: tuple[Any, ...]) -> Any:
    return function(*arguments)


def as_coroutine(_: Any, function: Callable[..., Any]) -> Any:
    async def coroutine(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return function(*arguments)

    coroutine.__annotations__ = function.__annotations__
    return coroutine


async def acall(function: Any, _: Any, arguments: tuple[Any, ...]) -> Any:
    return await function(*arguments)


def cancelled(outside: Any) -> Any:
    async def patient(amount: int) -> int:
        await aask("GET", f"{outside.url}/count?of={amount}")
        await asyncio.sleep(60)
        return amount

    return patient


async def call_in_time(function: Any, _: Any) -> str:
    try:
        await asyncio.wait_for(function(3), 0.2)
    except TimeoutError:
        return "timed out"
    return "done"


class TestFunction(EntryContract):
    entry = function_entry
    subject = "functions (`@fluxrun.capture`)"
    library = "pytest-fluxrun"
    recognised = False
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(itself, call)


class TestCoroutine(EntryContract):
    entry = function_entry
    subject = "coroutine functions (`@fluxrun.capture`)"
    library = "pytest-fluxrun"
    recognised = False
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        as_coroutine,
        acall,
        typed_arguments=None,
        time_limit=Exercise(
            cancelled, call_in_time, error=("asyncio.exceptions:CancelledError: ",), ending={"timed_out": True}, calls=1
        ),
    )


# -- AWS Lambda


class LambdaContext:
    """As the runtime makes it."""

    def __init__(self) -> None:
        self.aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
        self.function_name = "shop-orders"
        self.function_version = "$LATEST"
        self.invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:shop-orders"
        self.memory_limit_in_mb = "256"
        self.log_group_name = "/aws/lambda/shop-orders"
        self.log_stream_name = "2026/05/04/[$LATEST]1"
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = None
        self._epoch_deadline_time_in_ms = int(time.time() * 1000) + 3000

    def get_remaining_time_in_millis(self) -> int:
        """Since the deadline is an instant of the wall clock."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))


def as_handler(_: Any, function: Callable[..., Any]) -> Any:
    def handler(event: dict[str, Any], context: Any) -> Any:
        assert context.aws_request_id
        return function(*event["arguments"])

    return handler


def invoke_handler(handler: Any, _: Any, arguments: tuple[Any, ...]) -> Any:
    return handler({"arguments": list(arguments)}, LambdaContext())


def asks_its_context(outside: Any) -> Any:
    def handler(event: dict[str, Any], context: Any) -> list[Any]:
        first = context.get_remaining_time_in_millis()
        ask("POST", f"{outside.url}/count", json=[first, context.get_remaining_time_in_millis()])
        pool = context.identity.cognito_identity_pool_id
        return [context.aws_request_id, context.memory_limit_in_mb, context.function_name, pool, 0 < first <= 3000]

    return handler


class TestLambda(EntryContract):
    entry = function_entry
    subject = "AWS Lambda handlers (`@fluxrun.capture`)"
    library = "pytest-fluxrun"
    recognised = False
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        as_handler,
        invoke_handler,
        typed_arguments=None,
        context=Exercise(asks_its_context, lambda handler, _: handler({}, LambdaContext()), calls=1),
    )


# -- click


def as_command(_: Any, function: Callable[..., Any]) -> Any:
    @click.command("quote")
    @click.argument("amount", type=int)
    @click.argument("text", default="")
    def command(amount: int, text: str) -> Any:
        found = function(amount, text) if text else function(amount)
        click.echo(f"found {found}")
        return found

    return command


def run_command(command: Any, _: Any, arguments: tuple[Any, ...]) -> Any:
    return command.main([str(argument) for argument in arguments], "quote", standalone_mode=False)


def exits(_: Any) -> Any:
    @click.command("quote")
    @click.pass_context
    def command(context: Any) -> None:
        click.echo("no rate", err=True)
        context.exit(4)

    return command


def run_to_exit(command: Any, _: Any) -> Any:
    try:
        command.main([], "quote")
    except SystemExit as exit_:
        return exit_.code
    return None


def exit_chain() -> tuple[str, ...]:
    """An exit as it is raised: older clicks raise SystemExit while they handle an Exit of their own."""
    try:
        click.Command("quote", callback=lambda: click.get_current_context().exit(4)).main([], "quote")
    except SystemExit as exit_:
        return ("builtins:SystemExit: 4", *(("click.exceptions:Exit: 4",) if exit_.__context__ else ()))
    raise AssertionError("click doesn't exit")


class TestClick(EntryContract):
    entry = click_entry
    subject = "click commands"
    library = "click"
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        as_command,
        run_command,
        typed_arguments=None,
        exit_code=Exercise(exits, run_to_exit, error=exit_chain(), calls=0),
        context=Exercise(
            lambda _: click.command("who")(click.pass_context(lambda context: context.info_name)),
            lambda command, _: command.main([], "me", standalone_mode=False),
            calls=0,
        ),
    )


def test_runner_of_click_sees_the_same_output() -> None:
    """What a command prints goes where it went."""
    command = as_command(None, lambda amount: amount * 2)
    bare = CliRunner().invoke(command, ["3"])
    wrapped = CliRunner().invoke(click_entry.wrap(command, "quote"), ["3"])
    assert (0, "found 6\n") == (bare.exit_code, bare.output) == (wrapped.exit_code, wrapped.output)


# -- Celery


def new_app(**settings: Any) -> celery.Celery:
    app = celery.Celery(f"app-{uuid.uuid4().hex}", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(**settings)
    return app


def with_task(_: Any, function: Callable[..., Any], **options: Any) -> celery.Celery:
    app = new_app()
    app.task(name="it", shared=False, **options)(function)
    return app


def bound(app: celery.Celery, function: Callable[..., Any], **options: Any) -> celery.Celery:
    app.task(name="it", bind=True, shared=False, **options)(function)
    return app


def eagerly(app: celery.Celery, _: Any, arguments: tuple[Any, ...] = (3,)) -> Any:
    return app.tasks["it"].apply(arguments, task_id="7").get()


def message(app: celery.Celery, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    request = {"id": "7", "task": "it", "retries": 1, "delivery_info": {"routing_key": "q"}, "headers": {"tenant": "t"}}
    embed = json.loads(getattr(app, "embed", "{}"))
    return ("it", "7", request, (list(arguments), {}, embed), None, None), {"app": app}


def in_pool(pool_class: Any, app: celery.Celery, arguments: tuple[Any, ...]) -> Any:
    """As a worker's consumer hands a message to its pool; gives what the pool calls back with."""
    pool, results = pool_class(2, app=app), []
    pool.start()
    try:
        called, options = message(app, arguments)
        pool.apply_async(trace_task_ret, called, options, callback=results.append)
    finally:
        pool.stop()
    failed, value, _ = results[0]
    return (failed, repr(value.exception) if failed else value)


def in_solo_pool(app: celery.Celery, _: Any, arguments: tuple[Any, ...] = (3,)) -> Any:
    return in_pool(SoloPool, app, arguments)


def in_thread_pool(app: celery.Celery, _: Any, arguments: tuple[Any, ...] = (3,)) -> Any:
    return in_pool(ThreadPool, app, arguments)


def retrying(outside: Any) -> celery.Celery:
    def task(self: Any, amount: int) -> Any:
        n = ask("GET", f"{outside.url}/count?of={amount}").json()["n"]
        raise self.retry(exc=ConnectionError(f"no {n}"), countdown=5)

    return bound(new_app(), task, max_retries=2)


def asks_its_request(_: Any) -> celery.Celery:
    def task(self: Any, amount: int) -> Any:
        request = self.request
        return [request.id, request.retries, request.delivery_info.get("routing_key"), request.is_eager, amount]

    return bound(new_app(), task)


def ignoring(_: Any) -> celery.Celery:
    def task(_: int) -> None:
        raise celery.exceptions.Ignore

    return with_task(None, task)


def rejecting(_: Any) -> celery.Celery:
    def task(_: int) -> None:
        raise celery.exceptions.Reject("poison", requeue=False)

    return with_task(None, task)


def chained(_: Any) -> celery.Celery:
    app = new_app()

    @app.task(name="next", shared=False)
    def following(amount: int) -> int:
        return amount

    @app.task(name="it", shared=False)
    def it(amount: int) -> list[str]:
        return [type(result).__name__ for result in (following.delay(amount), following.apply_async((1,), countdown=9))]

    return app


def in_a_chain(_: Any) -> celery.Celery:
    """What comes after it in a chain, its callback, and its chord are in the message."""
    app = chained(None)
    following = app.tasks["next"]
    embed = {"chain": [following.s()], "callbacks": [following.s()], "errbacks": None, "chord": None}
    app.embed = json.dumps(embed)
    return app


def makes_a_canvas(_: Any) -> celery.Celery:
    app = new_app()

    @app.task(name="next", shared=False)
    def following(*amounts: int) -> int:
        return sum(amounts)

    @app.task(name="it", shared=False)
    def it(amount: int) -> int:
        celery.group(following.s(amount), following.s(2), app=app).delay()
        celery.chain(following.s(3), following.s(), app=app).delay()
        return amount

    return app


def handled(outside: Any) -> celery.Celery:
    class Handling(celery.Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

        def on_failure(self, error: Any, *_: Any) -> None:
            ask("POST", f"{outside.url}/count", json=[str(error), self.request.id])

    app = new_app()

    @app.task(name="it", shared=False, base=Handling, autoretry_for=(LookupError,), retry_backoff=True, max_retries=1)
    def it(amount: int) -> None:
        raise KeyError(amount)

    return app


class TestCeleryEager(EntryContract):
    entry = celery_entry
    subject = "Celery, eager"
    library = "celery"
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        with_task,
        eagerly,
        retries=Exercise(retrying, eagerly, error=("builtins:ConnectionError: no 3",), calls=3),
        context=Exercise(asks_its_request, eagerly, calls=0),
        handlers=Exercise(handled, eagerly, error=("builtins:KeyError: 3",)),
    )


def pool_exercises(invoke: Any) -> dict[str, Exercise]:
    retried = ("celery.exceptions:Retry: Retry in 5s: ConnectionError('no 1')",)
    return exercises(
        with_task,
        invoke,
        retries=Exercise(retrying, invoke, error=retried, calls=2),
        context=Exercise(asks_its_request, invoke, calls=0),
        ignored=Exercise(ignoring, invoke, calls=0),
        rejected=Exercise(rejecting, invoke, error=("celery.exceptions:Reject: ('poison', False)",), calls=0),
        publishes=Exercise(chained, invoke, calls=2),
        in_a_chain=Exercise(in_a_chain, invoke, calls=4),
        canvas=Exercise(makes_a_canvas, invoke, calls=3),
        handlers=Exercise(handled, invoke, error=("builtins:KeyError: 3",), calls=1),
    )


class TestCelerySolo(EntryContract):
    entry = celery_entry
    subject = "Celery, solo pool"
    library = "celery"
    exercises: ClassVar[Mapping[str, Exercise]] = pool_exercises(in_solo_pool)


class TestCeleryThreads(EntryContract):
    entry = celery_entry
    subject = "Celery, threads pool"
    library = "celery"
    exercises: ClassVar[Mapping[str, Exercise]] = pool_exercises(in_thread_pool)


# -- Dramatiq


def with_actor(_: Any, function: Callable[..., Any], **options: Any) -> StubBroker:
    broker = StubBroker()
    broker.add_middleware(CurrentMessage())
    dramatiq.actor(actor_name="it", broker=broker, **{"max_retries": 0, **options})(function)
    return broker


def in_worker(broker: StubBroker, _: Any, arguments: tuple[Any, ...] = (3,)) -> Any:
    """One message, processed by a real worker, which invocations at once share; says whether it failed."""
    with _at_work(broker) as worker:
        sent = broker.actors["it"].send(*arguments)
        broker.join("default", timeout=10_000, fail_fast=False)
        worker.join()
    return sent.message_id in [each.message_id for each in broker.dead_letters]


@contextmanager
def _at_work(broker: StubBroker) -> Iterator[dramatiq.Worker]:
    with _starting:
        worker, users = getattr(broker, "at_work", (None, 0))
        if worker is None:
            worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=2)
            worker.start()
        broker.at_work = (worker, users + 1)
    try:
        yield worker
    finally:
        with _starting:
            users = broker.at_work[1] - 1
            broker.at_work = (worker if users else None, users)
            if not users:
                worker.stop()


_starting = threading.Lock()


def asks_for_its_message(_: Any) -> StubBroker:
    def actor(amount: int) -> list[Any]:
        current = CurrentMessage.get_current_message()
        return [current.message_id, current.actor_name, list(current.args), current.options, amount]

    return with_actor(None, actor)


def asks_to_retry(outside: Any) -> StubBroker:
    def actor(amount: int) -> None:
        ask("GET", f"{outside.url}/count?of={amount}")
        raise dramatiq.errors.Retry("later", delay=10)

    return with_actor(None, actor)


class TestDramatiq(EntryContract):
    entry = dramatiq_entry
    subject = "Dramatiq"
    library = "dramatiq"
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        with_actor,
        in_worker,
        typed_arguments=None,
        context=Exercise(asks_for_its_message, in_worker, calls=0),
        retries=Exercise(asks_to_retry, in_worker, error=("dramatiq.errors:Retry: later",), calls=1),
    )


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:celery.*")
