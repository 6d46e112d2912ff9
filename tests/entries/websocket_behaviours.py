"""The websocket behaviours that every ASGI framework passes, and the client that talks to its app in this process.

What each route does; "asks" is a call of `aask` for `GET /count` on the upstream, `n` the number in its answer:

- `/ws/echo`: accepts; answers each text `<text>` by `<text> <n>`, asking before each answer, until the client leaves.
- `/ws/binary`: accepts; answers bytes by the same bytes reversed, once, then closes with 1000.
- `/ws/subprotocol`: accepts with the subprotocol `v2` and the header `x-room: blue`, sends `hello`, closes with 1000.
- `/ws/close`: accepts; takes one text, asks, closes with 4404 and the reason `no such room`.
- `/ws/refuse`: asks, then refuses the handshake (403).
- `/ws/raise`: accepts; takes one text, asks, then `raise RuntimeError("no rate for EUR") from KeyError("EUR")`.
- `/ws/push`: accepts; while it listens, another task asks and sends `tick <n>`, three times, 0.02 s apart; answers each
  text `<text>` by `got <text>` meanwhile; returns or is stopped when the client leaves, with its task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_fluxrun.testing.entry import Exercise

_PATIENCE_S = 15
RAISED = ("builtins:RuntimeError: no rate for EUR", "builtins:KeyError: 'EUR'")


@dataclass(frozen=True, slots=True)
class Talk:
    """What the client saw.

    Args:
        messages: in order, text or bytes.
        closed: code and reason, where the app closed it.
        raised: `Type: message` of what the app raised into its server, or "".
    """

    accepted: bool
    subprotocol: str | None
    headers: tuple[tuple[str, str], ...]
    messages: tuple[str | bytes, ...]
    closed: tuple[int, str] | None
    raised: str = ""


@dataclass(frozen=True, slots=True)
class WebsocketBehaviour:
    """One row. `steps`: text or bytes are sent, a number waits for so many messages, a `Leave` leaves."""

    name: str
    path: str
    steps: tuple[Any, ...] = ()
    subprotocols: tuple[str, ...] = ()
    status: int | None = 101
    calls: int = 0
    disconnected: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """The client closes, or its connection breaks (1006)."""

    code: int = 1000


BEHAVIOURS = (
    WebsocketBehaviour("websocket-echo", "/ws/echo", ("one", 1, "two", "three", 3, Leave()), calls=3),
    WebsocketBehaviour("websocket-binary", "/ws/binary", (b"\x00\xff\x01",)),
    WebsocketBehaviour("websocket-subprotocol", "/ws/subprotocol", subprotocols=("v1", "v2")),
    WebsocketBehaviour("websocket-closed-by-app", "/ws/close", ("blue",), status=404, calls=1),
    WebsocketBehaviour("websocket-refused", "/ws/refuse", status=403, calls=1),
    WebsocketBehaviour("websocket-raised-error", "/ws/raise", ("EUR",), status=None, calls=1),
    WebsocketBehaviour("websocket-push", "/ws/push", (1, "a", 3, "b", 5, Leave()), calls=3),
    WebsocketBehaviour("websocket-disconnect", "/ws/push", (1, Leave(1006)), calls=1, disconnected=True),
)


class _Peer:
    def __init__(self, steps: tuple[Any, ...]) -> None:
        self.steps = list(steps)
        self.started = False
        self.accept: Any = None
        self.messages: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self.left: Leave | None = None
        self.changed = asyncio.Condition()

    async def receive(self) -> Any:
        if not self.started:
            self.started = True
            return {"type": "websocket.connect"}
        while self.steps and self.closed is None and self.left is None:
            step = self.steps[0]
            if isinstance(step, int):
                await self._reached(step)
                self.steps = self.steps[1:] if self.steps[:1] == [step] else self.steps
                continue
            del self.steps[0]
            if isinstance(step, Leave):
                self.left = step
            else:
                return {"type": "websocket.receive", "text" if isinstance(step, str) else "bytes": step}
        if self.left is not None:
            return {"type": "websocket.disconnect", "code": self.left.code, "reason": ""}
        async with self.changed:
            await self.changed.wait_for(lambda: self.closed is not None)
        return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def _reached(self, messages: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.messages) >= messages or self.closed is not None)

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self.accept = message
        elif kind == "websocket.close":
            self.closed = (message.get("code", 1000), message.get("reason") or "")
        elif self.left is None:
            text = message.get("text")
            self.messages.append(bytes(message["bytes"]) if text is None else text)
        async with self.changed:
            self.changed.notify_all()


def scope_of(path: str, subprotocols: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """The scope of a websocket."""
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "subprotocols": list(subprotocols),
        "state": {},
        **more,
    }


async def talk(app: Any, scope: dict[str, Any], steps: tuple[Any, ...]) -> Talk:
    """Hold a conversation with an app, until the app has returned."""
    peer, raised = _Peer(steps), ""
    try:
        await asyncio.wait_for(app(scope, peer.receive, peer.send), _PATIENCE_S)
    except Exception as error:  # the server would log it
        raised = f"{type(error).__name__}: {error}"
    accept = peer.accept or {}
    return Talk(
        accepted=peer.accept is not None,
        subprotocol=accept.get("subprotocol"),
        headers=tuple((name.decode(), value.decode()) for name, value in accept.get("headers") or ()),
        messages=tuple(peer.messages),
        closed=peer.closed,
        raised=raised,
    )


def exercises(
    make: Callable[[str], Any],
    *,
    raised: tuple[str, ...] = RAISED,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Exercise]:
    """The contract's exercises for one framework; see `web_behaviours.exercises`."""
    made = {}
    for behaviour in BEHAVIOURS:
        ending: dict[str, Any] = {"disconnected": behaviour.disconnected}
        if behaviour.status is not None:
            ending["status"] = behaviour.status
        made[behaviour.name] = Exercise(
            target=lambda outside: make(outside.url),
            invoke=_talking(behaviour),
            error=raised if behaviour.name == "websocket-raised-error" else (),
            ending={**ending, **(changes or {}).get(behaviour.name, {})},
            calls=behaviour.calls,
        )
    return made


def _talking(behaviour: WebsocketBehaviour) -> Callable[[Any, Any], Any]:
    async def invoke(app: Any, _: Any) -> Talk:
        return await talk(app, scope_of(behaviour.path, behaviour.subprotocols), behaviour.steps)

    return invoke
