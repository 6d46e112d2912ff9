"""The kind host: how explicit host calls are compared and shown. Pure; no I/O.

A request is `{"target", "method", "args": list, "kwargs": dict, "effect": bool}` of plain values; `step` counts the
items taken from a generator, from 1.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import orjson

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.kinds.structure import structural_differences
from pytest_fluxrun.values import encode_or_opaque

__all__ = ["HOST", "Host", "reads_by_name"]

_MAX_TEXT: Final = 200
_READS: Final = re.compile(
    r"(?:get|find|list|fetch|load|read|is|has|can|count|exists?|search|query|select|lookup|peek|describe|show|check|all|first|one"
    r"|iter|stream|keys|values|items)(?![a-z])|__(?:getitem|contains|len|iter|aiter|enter|exit|aenter|aexit)__\Z",
)


def reads_by_name(method: str) -> bool:
    """Whether an undeclared method reads, judged by its first word: `get_order`, `findAll`; else it's an effect."""
    return _READS.match(method) is not None


class Host(Kind):
    """Calls to an object that the app wrapped with `fluxrun.host`."""

    name: ClassVar[str] = "host"

    def canonical(self, request: Request) -> str:
        """`target.method(arguments)` with the arguments as sorted JSON."""
        arguments = encode_or_opaque([list(request["args"]), dict(request["kwargs"]), request.get("step", 0)])
        return f"{self.operation(request)}{orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()}"

    def operation(self, request: Request) -> str:
        """`target.method`."""
        return f"{request['target']}.{request['method']}"

    def is_effect(self, request: Request) -> bool:
        """As declared where the object was wrapped, else by the method's name."""
        effect = request.get("effect")
        return not reads_by_name(request["method"]) if effect is None else bool(effect)

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Target and method, then the arguments by place and by name."""
        found: list[Difference] = []
        for part in ("target", "method", "args", "kwargs", "step"):
            found += structural_differences(f"request.{part}", recorded.get(part), asked.get(part))
        return found

    def text(self, request: Request) -> str:
        """`db.save('o-1', total=Decimal('9.90'))`, at most 200 characters."""
        arguments = [*map(repr, request["args"]), *(f"{name}={value!r}" for name, value in request["kwargs"].items())]
        step = f" item {request['step']}" if "step" in request else ""
        text = f"{self.operation(request)}({', '.join(arguments)}){step}"
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def named_values(self, request: Request, answer: Any) -> list[tuple[str, Any]]:
        """Keyword arguments; what lies deeper bears its own name."""
        del answer
        return list(request["kwargs"].items())


HOST = Host()
