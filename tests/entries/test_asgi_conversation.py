"""Apps and servers that take turns, poll, and stop each other: what was said is said again in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_fluxrun.entries.asgi import entry
from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries.asgi_client import scope_of
from tests.entries.web_behaviours import WebRequest, aask
from tests.entries.websocket_behaviours import Leave, talk
from tests.entries.websocket_behaviours import scope_of as websocket_scope

START = {"type": "http.response.start", "status": 200, "headers": []}


def polling(outside: Any) -> Any:
    """Works in steps, and looks after each whether the client is still there."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http" == scope["type"]
        await receive()
        await send(START)
        while True:
            await aask("GET", f"{outside.url}/count")
            try:
                async with asyncio.timeout(0.001):
                    await receive()
            except TimeoutError:
                await asyncio.sleep(0.02)
            else:
                return

    return app


def duplex(outside: Any) -> Any:
    """Answers each part of the body before the next one is sent."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http" == scope["type"]
        await send(START)
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            number = (await aask("GET", f"{outside.url}/count")).json()["n"]
            await send({"type": "http.response.body", "body": b"%s:%d " % (message["body"], number), "more_body": more})

    return app


def patient(outside: Any) -> Any:
    """Waits for ever, and says so to the upstream when it is stopped."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http" == scope["type"]
        try:
            await asyncio.sleep(3600)
        finally:
            await aask("POST", f"{outside.url}/count", json={"stopped": True})

    return app


class Client:
    """Sends a part of the body for each part of the answer, or leaves after a while."""

    def __init__(self, *parts: bytes, leaves_after_s: float = 0) -> None:
        self.parts, self.leaves_after_s = list(parts), leaves_after_s
        self.sent: list[Any] = []
        self.answered = asyncio.Semaphore(1)
        self.started_s = asyncio.get_running_loop().time()

    async def receive(self) -> Any:
        if self.parts:
            await self.answered.acquire()
            part = self.parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.parts)}
        await asyncio.sleep(self.started_s + self.leaves_after_s - asyncio.get_running_loop().time())
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self.answered.release()


async def ask_duplex(app: Any, _: Any) -> Any:
    client = Client(b"one", b"two", b"three")
    await app(scope_of(WebRequest("POST", "/")), client.receive, client.send)
    return client.sent


async def leave(app: Any, _: Any) -> Any:
    client = Client(b"", leaves_after_s=0.2)
    await app(scope_of(WebRequest("GET", "/")), client.receive, client.send)
    return client.sent


async def cancel(app: Any, _: Any) -> Any:
    client = Client(b"")
    try:
        async with asyncio.timeout(0.05):
            await app(scope_of(WebRequest("GET", "/")), client.receive, client.send)
    except TimeoutError:
        return "cancelled"


class TestConversation(EntryContract):
    entry = entry
    subject = "plain ASGI, conversations"
    library = "pytest-fluxrun"
    exercises: ClassVar[Mapping[str, Exercise]] = {
        "duplex": Exercise(duplex, ask_duplex, calls=3),
        "polled-disconnect": Exercise(polling, leave, ending={"disconnected": True, "cut_short": True}),
        "cancelled": Exercise(
            patient, cancel, error=("asyncio.exceptions:CancelledError: ",), ending={"timed_out": True}, calls=1
        ),
    }

    def test_invocations_at_once_do_not_mix(self, exercise: str, outside: Any, tmp_path: Any) -> None:
        """As in the contract; how often an app polls is no number that two invocations share."""
        if exercise != "polled-disconnect":
            super().test_invocations_at_once_do_not_mix(exercise, outside, tmp_path)
            return
        with self.recording() as recorded:
            self.invoke_each(exercise, self.wrapped(exercise, outside), outside, at_once=True)
        self.assert_faithful(exercise, recorded.dumped(), outside, tmp_path)

    def test_invocation_inside_another_run_is_part_of_it(self, exercise: str, outside: Any) -> None:
        """As in the contract, but for the number of polls."""
        if exercise != "polled-disconnect":
            super().test_invocation_inside_another_run_is_part_of_it(exercise, outside)


class Changed(EntryContract):
    """A recording of one version of an app, driven on another."""

    entry = entry
    subject = library = ""


def changed(live: Any, fixed: Any, steps: tuple[Any, ...], outside: Any, tmp_path: Any) -> tuple[Run, Any]:
    """What a websocket's run shows on changed code: the run, and the evidence."""
    versions = iter([live, fixed])

    class Contract(Changed):
        exercises: ClassVar[Mapping[str, Exercise]] = {
            "it": Exercise(lambda _: next(versions), lambda app, _: asyncio.run(talk(app, websocket_scope("/"), steps)))
        }

    contract = Contract()
    _, run, _ = contract.record("it", outside)
    (replayed,) = contract.replay("it", [run], outside, tmp_path)
    return run, replayed.evidence


def test_fixed_websocket_that_listens_on_is_told_that_the_server_goes_away(outside, tmp_path):
    """The recorded app raised at the second message; the fixed one goes on to listen and isn't left hanging."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        assert "websocket" == scope["type"]
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise ValueError("no")

    async def fixed(scope: Any, receive: Any, send: Any) -> None:
        assert "websocket" == scope["type"]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        assert ("websocket.disconnect", 1001) == (message["type"], message["code"])

    run, evidence = changed(fails, fixed, ("hello",), outside, tmp_path)

    assert "builtins:ValueError" == run.outcome["error"]["type"]
    assert (None, False, "") == (evidence.outcome["error"], evidence.outcome["disconnected"], evidence.deadline)
    assert evidence.outcome["response"]["complete"]
    assert [{"text": "hello"}] == evidence.outcome["response"]["messages"]


def test_code_that_sends_less_still_hears_its_client(outside, tmp_path):
    """Two answers became one: the message that followed the second is given when the run's time is over."""

    async def twice(scope: Any, receive: Any, send: Any) -> None:
        assert "websocket" == scope["type"]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
            await send({"type": "websocket.send", "text": "again"})

    async def once(scope: Any, receive: Any, send: Any) -> None:
        assert "websocket" == scope["type"]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    _, evidence = changed(twice, once, ("a", 2, "b", 4, Leave()), outside, tmp_path)

    assert [{"text": "a"}, {"text": "b"}] == evidence.outcome["response"]["messages"]
    assert "" == evidence.deadline
