"""What a pickle says, as text, read by its instructions and never run: no class of it is looked up, nothing is called.

Two pickles of equal objects often differ: one names a string twice that the other has twice. Their texts are equal.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["told_by_pickle"]

_MAX_BYTES: Final = 262_144
_MAX_NODES: Final = 20_000
"""Of the text: one object may stand in many places, and those in many others."""
_MARK: Final = object()


class _Unreadable(Exception):
    """Not a pickle, or one with an instruction that isn't followed."""


class _Node(list[Any]):
    """A container or a call, by its name, with what it holds."""

    def __init__(self, name: str, held: list[Any]) -> None:
        super().__init__(held)
        self.name = name


def told_by_pickle(data: bytes) -> str | None:
    """The text; None where the bytes are no pickle, too large, or more than data and constructors.

    Args:
        data: of protocol 2 or later, which say so in their first byte.
    """
    if data[:1] != b"\x80" or data[-1:] != b"." or len(data) > _MAX_BYTES:
        return None
    try:
        return "".join(_Text().of(_Reader().read(data)))
    except (_Unreadable, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


class _Reader:
    """Follows the instructions with a stack and a memo, as an unpickler does, and makes nodes of what that makes."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, data: bytes) -> Any:
        """The object on top when the pickle ends."""
        for code, argument, _ in pickletools.genops(data):
            name = code.name
            if name == "STOP":
                return self._stack.pop()
            if name in _VALUES:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in _MADE:
                self._make(*_MADE[name])
            elif name in _PUT:
                self._put(*_PUT[name])
            elif name not in _WITHOUT_MEANING:
                self._follow(name, argument)
        raise _Unreadable

    def _follow(self, name: str, argument: Any) -> None:
        if name == "MARK":
            self._stack.append(_MARK)
        elif name == "GLOBAL":
            self._stack.append(_Node("global", argument.split(" ")))
        elif name == "BUILD":
            state = self._stack.pop()
            self._stack[-1].append(_Node("state", [state]))
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        else:
            raise _Unreadable

    def _make(self, name: str, count: int | None) -> None:
        """One of what is on top: so many, or all down to the mark."""
        self._stack.append(_Node(name, self._taken(count)))

    def _put(self, count: int | None) -> None:
        """Into the container beneath, likewise."""
        held = self._taken(count)
        self._stack[-1].extend(held)

    def _taken(self, count: int | None) -> list[Any]:
        stack = self._stack
        if count is None:
            start = max((index for index, one in enumerate(stack) if one is _MARK), default=-1)
            held = stack[start + 1 :]
        else:
            start = len(stack) - count
            held = stack[start:]
        if start < 0 or any(one is _MARK for one in held):
            raise _Unreadable
        del stack[start:]
        return held


class _Text:
    """Nodes as text; what a set holds in one order."""

    def __init__(self) -> None:
        self._left = _MAX_NODES
        self._within: set[int] = set()

    def of(self, value: Any) -> Iterator[str]:
        """The text in pieces."""
        self._left -= 1
        if self._left < 0:
            raise _Unreadable
        if not isinstance(value, _Node):
            yield repr(value)
            return
        if id(value) in self._within:
            yield "..."
            return
        self._within.add(id(value))
        parts = ["".join(self.of(part)) for part in value]
        self._within.discard(id(value))
        yield f"{value.name}({', '.join(sorted(parts) if value.name in ('set', 'frozenset') else parts)})"


_VALUES: Final = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_CONSTANTS: Final[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_MADE: Final[dict[str, tuple[str, int | None]]] = {
    "EMPTY_LIST": ("list", 0),
    "EMPTY_DICT": ("dict", 0),
    "EMPTY_SET": ("set", 0),
    "EMPTY_TUPLE": ("tuple", 0),
    "TUPLE": ("tuple", None),
    "TUPLE1": ("tuple", 1),
    "TUPLE2": ("tuple", 2),
    "TUPLE3": ("tuple", 3),
    "LIST": ("list", None),
    "DICT": ("dict", None),
    "FROZENSET": ("frozenset", None),
    "STACK_GLOBAL": ("global", 2),
    "REDUCE": ("made", 2),
    "NEWOBJ": ("made", 2),
    "NEWOBJ_EX": ("made", 3),
}
_PUT: Final[dict[str, tuple[int | None]]] = {
    "APPEND": (1,),
    "SETITEM": (2,),
    "APPENDS": (None,),
    "SETITEMS": (None,),
    "ADDITEMS": (None,),
}
_WITHOUT_MEANING: Final = frozenset({"PROTO", "FRAME"})
