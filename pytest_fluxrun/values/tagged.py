"""The format: plain JSON scalars, lists and string-keyed dicts stay as they are, all else is `{"~": tag, "v": ...}`.

Reading and writing share this file. It knows nothing of runs and bundles.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson
from pydantic import PydanticUserError, TypeAdapter

from pytest_fluxrun.errors import DamagedBundle, OpaqueValue, ValueNotEncodable
from pytest_fluxrun.values import typed
from pytest_fluxrun.values.scalars import BY_CONTENT, BY_TEXT, SCALARS, Value, is_utf8, tagged
from pytest_fluxrun.values.typed import Parts

__all__ = ["MAX_DEPTH", "Value", "decode", "encode", "encode_or_opaque", "has_opaque", "opaque_names", "plain"]

MAX_DEPTH: Final = 64
"""Python containers inside each other: three JSON levels each stay below orjson's 254."""
MAX_NODES: Final = 2_000_000
_MAX_JSON_DEPTH: Final = 250


_FACTORIES: Final[dict[str, Callable[[], Any]]] = {
    "list": list,
    "dict": dict,
    "set": set,
    "int": int,
    "float": float,
    "str": str,
}


# -- writing: containers and typed objects


class _Encoder:
    """One encoding: counts depth and nodes, and either raises at what can't be encoded or marks it opaque."""

    __slots__ = ("classes", "depth", "nodes", "opaque")

    def __init__(self, *, opaque: bool, classes: tuple[type, ...] | None = None) -> None:
        self.opaque = opaque
        self.classes = classes
        self.depth = 0
        self.nodes = 0

    def value(self, obj: Any) -> Value:
        kind: Any = type(obj)
        if obj is None or kind is bool or (kind is str and obj.isascii()):
            return obj
        scalar = SCALARS.get(kind)
        if scalar is not None:
            try:
                return scalar(obj)
            except ValueNotEncodable:
                if not self.opaque:
                    raise
                return _opaque(obj)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _OutOfBounds(
                "a value can't be recorded", why=f"it is nested deeper than {MAX_DEPTH} levels, or in itself"
            )
        container = _CONTAINERS.get(kind)
        encoded = container(self, obj) if container is not None else self._typed(obj)
        self.depth -= 1
        return encoded

    def each(self, items: Iterable[Any]) -> list[Value]:
        # texts here, and not by `SCALARS`: they are most of what is encoded on an app's threads
        encoded = [item if type(item) is str and item.isascii() else self.value(item) for item in items]
        self.nodes += len(encoded) + 1
        if self.nodes > MAX_NODES:
            raise _OutOfBounds("a value can't be recorded", why=f"it has more than {MAX_NODES} parts")
        return encoded

    def _typed(self, obj: Any) -> Value:
        cls: Any = type(obj)
        shape = typed.shape_of(cls)
        if shape is None or (
            self.classes is not None and typed.find_class(typed.class_name(cls), self.classes) is None
        ):
            if self.opaque:
                return _opaque(obj)
            raise ValueNotEncodable(
                f"a {typed.class_name(cls)} can't be recorded",
                why="only plain values, pydantic models, dataclasses, enums and named tuples can",
                next_step="return one of those, or a dict",
            )
        parts = typed.take_apart(obj, shape)
        encoded = {"~": shape, "c": typed.class_name(cls), "v": self.value(parts.content)}
        if extras := self._encodable(parts.extras):
            encoded["x"] = extras
        if private := self._encodable(parts.private):
            encoded["p"] = private
        if shape == typed.Shape.MODEL:
            encoded["s"] = list(parts.fields_set)
        return encoded

    def _encodable(self, attributes: Any) -> dict[str, Value]:
        if not attributes:
            return {}
        strict = _Encoder(opaque=False, classes=self.classes)
        encoded = {}
        for name, attribute in attributes.items():
            try:
                encoded[name] = strict.value(attribute)
            except ValueNotEncodable:
                strict.depth = 0
        return encoded


class _OutOfBounds(ValueNotEncodable):
    """Too deep, cyclic or too large: the whole value is given up, for its parts may refer to each other."""


def _opaque(obj: Any) -> Value:
    return tagged("opaque", typed.class_name(type(obj)))


def _dict(encoder: _Encoder, mapping: dict[Any, Any]) -> Value:
    if _are_plain(mapping):
        return dict(zip(mapping, encoder.each(mapping.values()), strict=True))
    return tagged("dict", _pairs(encoder, mapping))


def _are_plain(keys: Iterable[Any]) -> bool:
    for key in keys:  # noqa: SIM110 - `all` of a generator takes half as long again
        if type(key) is not str or key == "~" or not (key.isascii() or is_utf8(key)):
            return False
    return True


def _pairs(encoder: _Encoder, mapping: dict[Any, Any]) -> list[Value]:
    keys, values = encoder.each(mapping), encoder.each(mapping.values())
    return [[key, value] for key, value in zip(keys, values, strict=True)]


def _set(encoder: _Encoder, members: set[Any] | frozenset[Any]) -> Value:
    return tagged(type(members).__name__, sorted(encoder.each(members), key=_sort_key))


def _sort_key(value: Value) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _defaultdict(encoder: _Encoder, mapping: defaultdict[Any, Any]) -> Value:
    factory = mapping.default_factory
    name = next((name for name, known in _FACTORIES.items() if known is factory), None)
    if factory is not None and name is None:
        if encoder.opaque:
            return _opaque(mapping)
        raise ValueNotEncodable("a defaultdict can't be recorded", why="its factory isn't a built-in type")
    return {"~": "defaultdict", "v": _pairs(encoder, mapping), "f": name}


def _deque(encoder: _Encoder, items: deque[Any]) -> Value:
    return {"~": "deque", "v": encoder.each(items), "max": items.maxlen}


_CONTAINERS: Final[dict[type, Callable[[_Encoder, Any], Value]]] = {
    list: _Encoder.each,
    dict: _dict,
    tuple: lambda encoder, items: tagged("tuple", encoder.each(items)),
    set: _set,
    frozenset: _set,
    OrderedDict: lambda encoder, mapping: tagged("OrderedDict", _pairs(encoder, mapping)),
    Counter: lambda encoder, mapping: tagged("Counter", _pairs(encoder, mapping)),
    defaultdict: _defaultdict,
    deque: _deque,
}


def encode(obj: Any) -> Value:
    """An object of the closed set as a Value that shares nothing mutable with it.

    Raises:
        ValueNotEncodable: it, or something in it, is outside the set, deeper than `MAX_DEPTH`, or in itself.
    """
    return _Encoder(opaque=False).value(obj)


def encode_or_opaque(obj: Any, *, rebuilt_by: Any = None) -> Value:
    """`encode`, with an opaque marker in the place of what can't be encoded. Never raises.

    Args:
        rebuilt_by: the annotation with which the value will be decoded: a typed object whose class it doesn't reach is
            opaque at once, so that a run's readiness is known when it is recorded. None: not known yet.
    """
    if obj is None or (type(obj) is str and obj.isascii()):  # an environment variable: no encoder for it
        return obj
    classes = None if rebuilt_by is None else typed.reachable(rebuilt_by)
    try:
        return _Encoder(opaque=True, classes=classes).value(obj)
    except (
        Exception
    ):  # out of bounds, changed by another thread meanwhile, or the app's attributes raise: never the host's
        return _opaque(obj)


def has_opaque(value: Value) -> bool:
    """Whether something in the value couldn't be encoded."""
    return next(opaque_names(value), None) is not None


def opaque_names(value: Value) -> Iterator[str]:
    """The `module.qualname` of each thing in the value that couldn't be encoded, in order."""
    if type(value) is list:
        for item in value:
            yield from opaque_names(item)
    elif type(value) is dict:
        if value.get("~") == "opaque":
            yield str(value.get("v"))
            return
        for item in value.values():
            yield from opaque_names(item)


# -- reading


_NESTED: Final = frozenset({dict, list})


class _Decoder:
    """One decoding. `lenient` gives plain contents for typed objects and a note for opaque ones, instead of failing."""

    __slots__ = ("classes", "depth", "lenient")

    def __init__(self, classes: tuple[type, ...], *, lenient: bool) -> None:
        self.classes = classes
        self.lenient = lenient
        self.depth = 0

    def value(self, value: Value) -> Any:
        kind = type(value)
        if kind is not dict and kind is not list:
            return value
        self.depth += 1
        if self.depth > _MAX_JSON_DEPTH:
            raise DamagedBundle(
                "a recorded value can't be read", why=f"it is nested deeper than {_MAX_JSON_DEPTH} levels"
            )
        if kind is list:
            decoded: Any = self._items(value)
        elif (tag := value.get("~")) is None:
            decoded = {key: self.value(item) if type(item) in _NESTED else item for key, item in value.items()}
        else:
            decoded = self._tagged(tag, value)
        self.depth -= 1
        return decoded

    def _items(self, values: list[Value]) -> list[Any]:
        """A list's; rows of a table are lists of values without a level of their own."""
        items = []
        for item in values:
            if type(item) is dict and (read := BY_TEXT.get(item.get("~", ""))) is not None:
                items.append(read(item["v"]))
            else:
                items.append(self.value(item) if type(item) in _NESTED else item)
        return items

    def _tagged(self, tag: str, value: dict[str, Value]) -> Any:
        content = value["v"]
        if (read := BY_TEXT.get(tag)) is not None:
            return read(content)
        if (read_content := BY_CONTENT.get(tag)) is not None:
            return read_content(value)
        if (assemble := _ASSEMBLED.get(tag)) is not None:
            return assemble(self, value)
        if tag == "opaque":
            return self._opaque(str(content))
        if tag in _SHAPES:
            return self._typed(tag, value)
        raise ValueError(f"unknown tag {tag!r}")

    def _opaque(self, name: str) -> Any:
        if self.lenient:
            return f"<{name}>"
        raise OpaqueValue(
            f"a recorded {name} can't be given back",
            why="it isn't one of the values that a bundle can hold",
            next_step="let the recorded call return plain values, a pydantic model or a dataclass",
        )

    def _typed(self, shape: str, value: dict[str, Value]) -> Any:
        if self.lenient:
            return self.value(value["v"])
        cls = typed.find_class(value["c"], self.classes)
        if cls is None:
            raise _ClassNotReached(
                f"a recorded {value['c']} can't be given back",
                why="the return annotation of the live code doesn't lead to that class",
                next_step="annotate what the call returns, e.g. `-> Order` or `-> list[Order]`",
            )
        content = self.value(value["v"])
        extras, private = self.value(value.get("x", {})), self.value(value.get("p", {}))
        try:
            return typed.rebuild(cls, shape, Parts(content, extras, tuple(value.get("s", ())), private))
        except (ValueError, TypeError) as error:
            raise OpaqueValue(
                f"a recorded {value['c']} can't be given back",
                why=f"it doesn't fit the live class: {error}",
                next_step="keep the class able to hold what older releases recorded, or record the run again",
            ) from error


class _ClassNotReached(OpaqueValue):
    """The annotation doesn't lead to the recorded class; pydantic may still read the fields."""


_SHAPES: Final = frozenset(
    {
        typed.Shape.ENUM,
        typed.Shape.MODEL,
        typed.Shape.DATACLASS,
        typed.Shape.NAMED_TUPLE,
        typed.Shape.SUBCLASS,
    },
)


def _read_pairs(decoder: _Decoder, value: dict[str, Value]) -> dict[Any, Any]:
    return {decoder.value(key): decoder.value(item) for key, item in value["v"]}


def _read_defaultdict(decoder: _Decoder, value: dict[str, Value]) -> defaultdict[Any, Any]:
    factory = None if value["f"] is None else _FACTORIES[value["f"]]
    return defaultdict(factory, _read_pairs(decoder, value))


_ASSEMBLED: Final[dict[str, Callable[[_Decoder, dict[str, Value]], Any]]] = {
    "range": lambda decoder, value: range(*map(decoder.value, value["v"])),
    "tuple": lambda decoder, value: tuple(map(decoder.value, value["v"])),
    "set": lambda decoder, value: set(map(decoder.value, value["v"])),
    "frozenset": lambda decoder, value: frozenset(map(decoder.value, value["v"])),
    "dict": _read_pairs,
    "OrderedDict": lambda decoder, value: OrderedDict(_read_pairs(decoder, value)),
    "Counter": lambda decoder, value: Counter(_read_pairs(decoder, value)),
    "defaultdict": _read_defaultdict,
    "deque": lambda decoder, value: deque(map(decoder.value, value["v"]), value["max"]),
}
"""Tags whose content isn't a string, with the function that reads them."""


def decode(value: Value, annotation: Any = Any) -> Any:
    """The object that `encode` saw.

    Args:
        value: from `encode`, perhaps through JSON.
        annotation: the live code's type of the object: where models, dataclasses, enums, named tuples find their class.

    Raises:
        OpaqueValue: something in it wasn't encodable, or the annotation doesn't lead to its class.
        DamagedBundle: it isn't a Value.
    """
    kind = type(value)
    if kind is not dict and kind is not list:
        return value
    try:
        return _decode(value, typed.reachable(annotation), lenient=False)
    except _ClassNotReached:
        if annotation is Any or not typed.reachable(annotation):
            raise
        return _validated(value, annotation)


def plain(value: Value) -> Any:
    """`decode` for comparing and showing: typed objects as their fields, opaque ones as `<module.qualname>`.

    Raises:
        DamagedBundle: it isn't a Value.
    """
    return _decode(value, (), lenient=True)


def _decode(value: Value, classes: tuple[type, ...], *, lenient: bool) -> Any:
    try:
        return _Decoder(classes, lenient=lenient).value(value)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise DamagedBundle("a recorded value can't be read", why=f"{type(error).__name__}: {error}") from error


def _validated(value: Value, annotation: Any) -> Any:
    """A value whose class was renamed: pydantic reads the fields into what the annotation says today."""
    try:
        return TypeAdapter(annotation).validate_python(plain(value))
    except (ValueError, PydanticUserError) as error:
        raise OpaqueValue(
            "a recorded object can't be given back",
            why=f"it doesn't fit the live annotation {annotation!r}",
            next_step="keep the class able to hold what older releases recorded, or record the run again",
        ) from error
