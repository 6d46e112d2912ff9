"""Objects of the app's own classes: taken apart into fields, and rebuilt as the class that a live annotation reaches.

A recorded class name only chooses among the classes that the annotation reaches; it never leads to an import. Where the
shape is unchanged no `__init__` and no validator of the app runs, so the fields come back as they were.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ForwardRef, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel

__all__ = [
    "SCALAR_BASES",
    "Parts",
    "Shape",
    "class_name",
    "find_class",
    "reachable",
    "rebuild",
    "shape_of",
    "take_apart",
]

SCALAR_BASES: tuple[type, ...] = (str, int, float, bytes, tuple, frozenset, list, dict, set)


class Shape:
    """The tags of typed objects."""

    ENUM = "enum"
    MODEL = "model"
    DATACLASS = "data"
    NAMED_TUPLE = "named"
    SUBCLASS = "sub"


@dataclass(frozen=True, slots=True)
class Parts:
    """A typed object taken apart.

    Args:
        content: what must be encodable: the enum's value, the fields by name, the base value of a subclass.
        extras: attributes beyond the fields; those that can't be encoded are left out.
        fields_set: for pydantic models, the names that were set explicitly.
        private: for pydantic models, private attributes; left out like `extras`.
    """

    content: Any
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fields_set: tuple[str, ...] = ()
    private: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def class_name(cls: type) -> str:
    """`module.qualname`, as stored and shown."""
    return f"{cls.__module__}.{cls.__qualname__}"


@functools.lru_cache(maxsize=4096)
def shape_of(cls: type) -> str | None:
    """The tag under which objects of a class are stored, or None where the class isn't in the closed set."""
    if issubclass(cls, Enum):
        return Shape.ENUM
    if issubclass(cls, BaseModel):
        return Shape.MODEL
    if dataclasses.is_dataclass(cls):
        return Shape.DATACLASS
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return Shape.NAMED_TUPLE
    if issubclass(cls, SCALAR_BASES) and cls.__module__ != "collections":
        return Shape.SUBCLASS
    return None


def take_apart(obj: Any, shape: str) -> Parts:
    """The parts of an object whose `shape_of` is `shape`. The parts refer to the object's own fields, uncopied."""
    if shape == Shape.ENUM:
        return Parts(obj.value)
    if shape == Shape.MODEL:
        return _model_parts(obj)
    if shape == Shape.DATACLASS:
        names = [field.name for field in dataclasses.fields(obj)]
        fields = {name: _stored(obj, name) for name in names if _stored(obj, name) is not dataclasses.MISSING}
        return Parts(fields, _without(getattr(obj, "__dict__", {}), fields))
    if shape == Shape.NAMED_TUPLE:
        return Parts(dict(zip(type(obj)._fields, obj, strict=True)))
    base = next(base for base in SCALAR_BASES if isinstance(obj, base))
    return Parts(base(obj) if base is not str else str.__str__(obj), getattr(obj, "__dict__", {}))


def _model_parts(obj: BaseModel) -> Parts:
    state = obj.__dict__
    declared = type(obj).model_fields
    fields = {name: value for name, value in state.items() if name in declared}
    return Parts(
        {**fields, **(obj.__pydantic_extra__ or {})},
        _without(state, declared),
        tuple(sorted(obj.__pydantic_fields_set__)),
        obj.__pydantic_private__ or {},
    )


def _stored(obj: Any, name: str) -> Any:
    return getattr(obj, name, dataclasses.MISSING)


def _without(state: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    left_out = set(names)
    return {name: value for name, value in state.items() if name not in left_out}


def rebuild(cls: type, shape: str, parts: Parts) -> Any:
    """An object of a live class from recorded parts.

    Raises:
        ValueError: the parts don't fit the live class (pydantic's ValidationError is one).
        TypeError: likewise.
    """
    if shape == Shape.ENUM:
        return cls(parts.content)
    if shape == Shape.MODEL and issubclass(cls, BaseModel):
        return _rebuild_model(cls, parts)
    if shape == Shape.DATACLASS:
        return _rebuild_dataclass(cls, parts)
    if shape == Shape.NAMED_TUPLE:
        return cls(**parts.content)
    return _rebuild_subclass(cls, parts)


def _rebuild_model(cls: type[BaseModel], parts: Parts) -> BaseModel:
    declared = cls.model_fields
    missing = [name for name in declared if name not in parts.content]
    unknown = [name for name in parts.content if name not in declared]
    if any(declared[name].is_required() for name in missing) or (unknown and cls.model_config.get("extra") != "allow"):
        return cls.model_validate(parts.content)
    fields = {name: parts.content[name] for name in declared if name in parts.content}
    fields |= {name: declared[name].get_default(call_default_factory=True, validated_data=fields) for name in missing}
    private = {name: attribute.get_default() for name, attribute in cls.__private_attributes__.items()}
    model = cls.__new__(cls)
    model.__setstate__(
        {
            "__dict__": {**fields, **parts.extras},
            "__pydantic_extra__": {name: parts.content[name] for name in unknown} if _allows_extra(cls) else None,
            "__pydantic_fields_set__": set(parts.fields_set),
            "__pydantic_private__": {**private, **parts.private} if cls.__private_attributes__ else None,
        },
    )
    return model


def _allows_extra(cls: type[BaseModel]) -> bool:
    return cls.model_config.get("extra") == "allow"


def _rebuild_dataclass(cls: type, parts: Parts) -> Any:
    declared = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := [name for name in parts.content if name not in declared]:
        raise ValueError(f"{cls.__qualname__} has no field {unknown[0]!r} any more")
    obj: Any = object.__new__(cls)
    for name, field in declared.items():
        object.__setattr__(obj, name, parts.content[name] if name in parts.content else _default(cls, field))
    for name, value in parts.extras.items():
        object.__setattr__(obj, name, value)
    return obj


def _default(cls: type, field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise ValueError(f"{cls.__qualname__} has the new field {field.name!r}, which the run lacks")


def _rebuild_subclass(cls: type, parts: Parts) -> Any:
    base = next((base for base in SCALAR_BASES if issubclass(cls, base)), None)
    if base is None or not isinstance(parts.content, base):
        raise TypeError(f"{cls.__qualname__} is no {type(parts.content).__name__}")
    constructor: Any = base
    obj = constructor.__new__(cls, parts.content)
    if base in {list, dict, set}:
        constructor.__init__(obj, parts.content)  # the base's own, so that no code of the app runs
    for name, value in parts.extras.items():
        object.__setattr__(obj, name, value)
    return obj


def find_class(name: str, classes: tuple[type, ...]) -> type | None:
    """The class of that stored name among the reachable ones and their subclasses.

    A class that moved to another module keeps its recordings as long as its qualname is unique.
    """
    family = list(dict.fromkeys(_with_subclasses(classes)))
    for cls in family:
        if class_name(cls) == name:
            return cls
    moved = [cls for cls in family if name.endswith(f".{cls.__qualname__}")]
    return moved[0] if len(moved) == 1 else None


def _with_subclasses(classes: Iterable[type]) -> Iterator[type]:
    for cls in classes:
        yield cls
        yield from _with_subclasses(type.__subclasses__(cls))


def reachable(annotation: Any) -> tuple[type, ...]:
    """The classes of typed objects that an annotation mentions, through generics and the fields of those classes."""
    try:
        return _reachable(annotation)
    except TypeError:  # an unhashable annotation, e.g. Annotated[..., a list]
        return tuple(_walk(annotation))


@functools.lru_cache(maxsize=1024)
def _reachable(annotation: Any) -> tuple[type, ...]:
    return tuple(_walk(annotation))


def _walk(annotation: Any) -> Iterator[type]:
    waiting, seen = [annotation], dict[int, Any]()  # holds what it has seen, for a freed object's id comes again
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, (str, ForwardRef)):
            continue
        seen[id(found)] = found
        origin = get_origin(found)
        waiting += [*get_args(found), *_named_by(found)]
        cls = origin if isinstance(origin, type) else found
        if isinstance(cls, type) and shape_of(cls) is not None and cls not in SCALAR_BASES:
            yield cls
            waiting += _field_types(cls)


def _named_by(found: Any) -> list[Any]:
    if isinstance(found, TypeVar):
        return [found.__bound__, *found.__constraints__]
    return [getattr(found, attribute) for attribute in ("__supertype__", "__value__") if hasattr(found, attribute)]


def _field_types(cls: type) -> list[Any]:
    if issubclass(cls, BaseModel):
        return [field.annotation for field in cls.model_fields.values()]
    try:
        return list(get_type_hints(cls).values())
    except Exception:  # an annotation of the app may run any code; then its fields reach nothing
        return []
