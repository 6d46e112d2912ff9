"""acme_queue: the client's one way out, and the kind `acme` that says how its calls compare."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Boundary, Call, Difference, Kind, Patch, Request
from pytest_fluxrun.context import crossing
from pytest_fluxrun.values import Value, decode, encode


class Acme(Kind):
    """A request is `{"do", "topic"}`, with `message` where one is published."""

    name: ClassVar[str] = "acme"

    def canonical(self, request: Request) -> str:
        return json.dumps(request, sort_keys=True)

    def operation(self, request: Request) -> str:
        return f"{request['do']} {request['topic']}"

    def is_effect(self, request: Request) -> bool:
        return request["do"] == "publish"

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        names = dict.fromkeys((*recorded, *asked))
        return [
            Difference(f"request.{name}", recorded.get(name), asked.get(name))
            for name in names
            if recorded.get(name) != asked.get(name)
        ]

    def text(self, request: Request) -> str:
        text = f"{self.operation(request)} {json.dumps(request.get('message', ''))}".rstrip(' "')
        return text if len(text) <= 200 else text[:199] + "…"


class AcmeQueue(Boundary[Any]):
    """Client._call, which all methods go through."""

    name: ClassVar[str] = "acme_queue"
    kind: ClassVar[Kind] = Acme()
    modules: ClassVar[tuple[str, ...]] = ("acme_queue",)
    snapshot: ClassVar[bool] = True

    def patches(self, module: Any) -> Iterable[Patch]:
        yield Patch(module.Client, "_call", self._wrapped)

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(client: Any, request: dict[str, Any]) -> Any:
            session = crossing()
            if session is None:
                return original(client, request)
            asked = decode(encode(request))  # a copy: the message is the app's
            return session.call(self, Call(request=asked), functools.partial(original, client, request))

        return call

    def dump(self, result: Any) -> Value:
        return encode(result)

    def load(self, value: Value, call: Call) -> Any:
        return decode(value)


boundary = AcmeQueue()
