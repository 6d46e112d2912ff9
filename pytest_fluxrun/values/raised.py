"""Errors as Values, and back, without running the app's constructors. Reading and writing share this file.

A recorded type name is looked up only among the modules that are loaded already, and only an exception class counts.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

from pytest_fluxrun.errors import DamagedBundle, FluxRunError, OpaqueValue, RecordedError, ValueNotEncodable
from pytest_fluxrun.values.tagged import Value, decode, encode, encode_or_opaque, plain

__all__ = ["dump_error", "load_error"]

_MAX_CHAIN: Final = 8
_MAX_GROUP: Final = 64
_DESCRIPTORS: Final = (types.MemberDescriptorType, types.GetSetDescriptorType)
_NOT_STATE: Final = frozenset(
    {"__notes__", "args", "__traceback__", "__context__", "__cause__", "__suppress_context__"}
)


def dump_error(error: BaseException) -> Value:
    """An error with its arguments, attributes, notes, cause, context and group members. Never raises.

    Attributes that can't be encoded are left out and named under `left_out`.
    """
    return _dump(error, frozenset(), 0)


def _dump(error: BaseException, above: frozenset[int], depth: int) -> Value:
    kind = type(error)
    attributes, left_out = _attributes(error)
    arguments = _arguments(error)
    dumped: dict[str, Value] = {
        "type": error.type_name if isinstance(error, RecordedError) else _name_of(kind),
        "args": [encode_or_opaque(_shown(argument)) for argument in arguments],
        "message": encode_or_opaque(_message(error)),
        "attributes": attributes,
    }
    if left_out:
        dumped["left_out"] = left_out
    errors = {str(index): argument for index, argument in enumerate(arguments) if isinstance(argument, BaseException)}
    if errors and depth < _MAX_CHAIN:  # their own chains are most often this error's
        dumped["errors"] = {index: _dump(argument, above, _MAX_CHAIN) for index, argument in errors.items()}
    if signals := {str(index): _names_of(argument) for index, argument in enumerate(arguments) if _names_of(argument)}:
        dumped["signals"] = signals
    if notes := [encode_or_opaque(note) for note in getattr(error, "__notes__", ()) if isinstance(note, str)]:
        dumped["notes"] = notes
    if error.__suppress_context__:
        dumped["suppress"] = True
    above |= {id(error)}
    for name, other in (("cause", error.__cause__), ("context", error.__context__)):
        if other is not None and id(other) not in above and depth < _MAX_CHAIN:
            dumped[name] = _dump(other, above, depth + 1)
    if isinstance(error, BaseExceptionGroup):
        dumped["args"] = [encode_or_opaque(error.message)]
        dumped["group"] = [_dump(member, above, depth + 1) for member in error.exceptions[:_MAX_GROUP]]
    return dumped


def _arguments(error: BaseException) -> tuple[Any, ...]:
    if isinstance(error, OSError) and error.filename is not None:  # its args leave the file names out
        reduced = OSError.__reduce__(error)
        return tuple(reduced[1]) if isinstance(reduced, tuple) else error.args
    return error.args


def _shown(argument: Any) -> Any:
    """An argument as it is kept; of an error (httpcore wraps them so) its text, as it is dumped as an error beside."""
    return _message(argument) if isinstance(argument, BaseException) else _names_of(argument) or argument


def _names_of(argument: Any) -> list[str]:
    """The names of a list of error classes, which is what an error of `decimal` holds; else nothing."""
    if type(argument) is not list or not all(isinstance(one, type) and issubclass(one, Exception) for one in argument):
        return []
    return [_name_of(one) for one in argument]


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _message(error: BaseException) -> str:
    if isinstance(error, RecordedError):
        return error.message
    try:
        return str(error)
    except Exception:  # `__str__` is the app's; the type and the arguments still tell
        return ""


def _attributes(error: BaseException) -> tuple[dict[str, Value], list[str]]:
    state = dict(getattr(error, "__dict__", {}))
    for name, descriptor in _members(type(error)):
        found = _member(descriptor, error)
        if found is not None:
            state.setdefault(name, found)
    encoded: dict[str, Value] = {}
    left_out = []
    for name, attribute in state.items():
        if name in _NOT_STATE:
            continue
        try:
            encoded[name] = encode(attribute)
        except ValueNotEncodable:
            left_out.append(name)
    return encoded, left_out


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Slots of the app's classes and C fields of the built-in ones (`StopIteration.value`, `ImportError.name`)."""
    for cls in kind.__mro__:
        if cls in (BaseException, Exception, object, BaseExceptionGroup, ExceptionGroup):
            continue
        for name, descriptor in vars(cls).items():
            if isinstance(descriptor, _DESCRIPTORS) and name not in {"__dict__", "__weakref__"}:
                yield name, descriptor


def _member(descriptor: Any, error: BaseException) -> Any:
    try:
        return descriptor.__get__(error)
    except AttributeError:  # a slot that was never set
        return None


def load_error(value: Value) -> BaseException:
    """The error that `dump_error` saw, without a traceback; a `RecordedError` where its class isn't loaded here.

    Raises:
        DamagedBundle: it isn't a dumped error.
    """
    try:
        return _load(value)
    except FluxRunError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DamagedBundle("a recorded error can't be read", why=f"{type(error).__name__}: {error}") from error


def _load(value: Value) -> BaseException:
    name = value["type"]
    kind = _loaded_class(name)
    error = None if kind is None else _build(kind, value)
    if error is None:
        error = RecordedError(name, str(plain(value["message"])))
    else:
        _set_attributes(error, value["attributes"])
    for note in value.get("notes", ()):
        BaseException.add_note(error, decode(note))
    if "cause" in value:
        error.__cause__ = _load(value["cause"])
    if "context" in value:
        error.__context__ = _load(value["context"])
    error.__suppress_context__ = bool(value.get("suppress", False))
    return error


def _loaded_class(name: str) -> type[BaseException] | None:
    module_name, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module_name)
    for part in qualname.split("."):
        found = None if found is None else inspect.getattr_static(found, part, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _build(kind: type[BaseException], value: Value) -> BaseException | None:
    base = next(cls for cls in kind.__mro__ if cls.__module__ == "builtins")
    errors = value.get("errors", {})
    signals = value.get("signals", {})
    args: tuple[Any, ...] = tuple(
        _load(errors[str(index)])
        if str(index) in errors
        else [_loaded_class(name) or name for name in signals[str(index)]]
        if str(index) in signals
        else _argument(argument)
        for index, argument in enumerate(value["args"])
    )
    if "group" in value:
        args = (*args, [_load(member) for member in value["group"]])
    try:
        error = base.__new__(kind, *args)
    except TypeError:  # a class in C with a constructor of its own, such as pydantic's ValidationError
        return None
    try:
        base.__init__(error, *args)  # type: ignore[misc]  # fills the C fields; no constructor of the app runs
    except TypeError:  # the app replaced `args` with some that the built-in class doesn't take
        error.args = args
    if isinstance(error, OSError) and error.filename is not None and "filename" not in value["attributes"]:
        error.filename, error.args = None, args  # a class of the app whose third argument is no file's name
    return error


def _argument(value: Value) -> Any:
    try:
        return decode(value)
    except OpaqueValue:
        return plain(value)


def _set_attributes(error: BaseException, attributes: dict[str, Value]) -> None:
    members = dict(_members(type(error)))
    for name, value in attributes.items():
        try:
            attribute = decode(value)
        except OpaqueValue:
            continue
        if name in members:
            _set_member(members[name], error, attribute)
        else:
            error.__dict__[name] = attribute


def _set_member(descriptor: Any, error: BaseException, attribute: Any) -> None:
    try:
        descriptor.__set__(error, attribute)
    except (AttributeError, TypeError):  # read-only in this Python: the arguments already gave it its value
        return
