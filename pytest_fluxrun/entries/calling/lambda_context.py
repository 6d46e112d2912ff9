"""AWS Lambda's context object: its public facts, kept with a call, and a stand-in for it at replay.

It is known by its shape; no library is imported. How much time remains is asked of the clock, so each answer is kept.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import wrapt

from pytest_fluxrun.boundary import Session
from pytest_fluxrun.context import crossing, virtual_clock
from pytest_fluxrun.errors import ValueNotEncodable
from pytest_fluxrun.values import Value, decode, encode, encode_or_opaque

__all__ = ["context_facts", "is_lambda_context", "observed", "stand_in"]

_FACTS = (
    *("function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id"),
    *("log_group_name", "log_stream_name", "tenant_id"),
)
_PARTS = ("identity", "client_context")
_REMAINING = "get_remaining_time_in_millis"


def is_lambda_context(value: Any) -> bool:
    """Whether it has what every Lambda context has. Never raises."""
    try:
        return hasattr(type(value), _REMAINING) and isinstance(getattr(value, "aws_request_id", None), str)
    except Exception:  # an object of the app may do anything when it is looked at
        return False


def context_facts(value: Any) -> dict[str, Value]:
    """What is kept of a context."""
    facts = {name: encode_or_opaque(getattr(value, name)) for name in _FACTS if hasattr(value, name)}
    for part in _PARTS:
        inner = getattr(value, part, None)
        facts[part] = None if inner is None else encode_or_opaque(_attributes(inner))
    facts["remaining_ms"] = encode_or_opaque(value.get_remaining_time_in_millis())
    return facts


def observed(value: Any) -> Any:
    """The context as the handler gets it in a run: it is what it was, and each remaining time is kept."""
    return _Observed(value)


def stand_in(facts: dict[str, Any]) -> Any:
    """A context with the recorded facts."""
    return _StandIn(**{name: decode(value) for name, value in facts.items()})


class _Observed(wrapt.ObjectProxy[Any]):
    def get_remaining_time_in_millis(self) -> Any:
        return _remaining_ms(self.__wrapped__.get_remaining_time_in_millis)


class _StandIn(SimpleNamespace):
    """What a replayed handler gets as its context."""

    def __init__(self, *, remaining_ms: int, identity: Any, client_context: Any, **facts: Any) -> None:
        super().__init__(**facts)
        self.identity = None if identity is None else SimpleNamespace(**identity)
        self.client_context = None if client_context is None else SimpleNamespace(**client_context)
        self._at_start_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        """As recorded; what the run didn't ask for is reckoned by its virtual clock."""
        remaining: int = _remaining_ms(self._by_the_clock)
        return remaining

    def log(self, message: Any) -> None:
        """Lambda's own way of writing to its log."""
        print(message, end="")  # noqa: T201 - as the runtime does

    def _by_the_clock(self) -> int:
        clock = virtual_clock()
        return max(0, self._at_start_ms - (0 if clock is None else clock.now_ns() // 1_000_000))


def _remaining_ms(live: Any) -> Any:
    session: Session | None = crossing()
    return live() if session is None else session.read("aws_lambda", "remaining_ms", live)


def _attributes(thing: Any, depth: int = 2) -> dict[str, Any]:
    """What can be kept of an object's attributes, slots or a dict, and of those of its parts."""
    found: dict[str, Any] = {}
    for name in (*getattr(type(thing), "__slots__", ()), *getattr(thing, "__dict__", ())):
        attribute = getattr(thing, name, None)
        try:
            encode(attribute)
        except ValueNotEncodable:
            if depth == 0:
                continue
            attribute = _attributes(attribute, depth - 1)
        found[name] = attribute
    return found
