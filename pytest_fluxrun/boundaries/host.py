"""fluxrun.host: an object of the app whose method calls cross a boundary, both directions.

In a replay no method of the live object is called. What passes through to it uncrossed, always: properties and other
attributes that aren't callable, names that begin with an underscore, attributes that are set, dunders not named here.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar, cast, get_args, get_origin, get_type_hints

import wrapt

from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request, Session
from pytest_fluxrun.context import crossing
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.kinds.host import HOST, reads_by_name
from pytest_fluxrun.values import Value, decode, encode_or_opaque, plain, snapshot

__all__ = ["HostBoundary", "boundary", "boundary_around", "host"]

T = TypeVar("T")
_END: Final = object()
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def host(name: str, target: T, *, effects: Iterable[str] | None = None) -> T:
    """The object to use in place of `target`: its public methods are recorded, and answered in a replay.

    Sync and async methods, generators and async generators (item by item), `obj[...]`, `in`, `len`, iteration, `with`
    and calling the object itself cross the boundary. It passes for the target in `isinstance`. Typed answers (pydantic
    models, dataclasses, enums) need the method's return annotation to be rebuilt.

    Args:
        name: names the boundary, `host:<name>`, in bundles and reports.
        target: any object.
        effects: names of the methods that change the outside; all others then read. Without it the method's first word
            decides: get, find, list, fetch, load, read, is, has, count … read, all else is an effect.

    Raises:
        SettingsError: the name can't be written into a bundle.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"fluxrun.host can't use the name {name!r}",
            why="it must be up to 64 letters, digits, dots, dashes and underscores",
            next_step='name the boundary, e.g. fluxrun.host("db", repository)',
        )
    return cast("T", _Proxy(target, HostBoundary(name, target, effects)))


class HostBoundary(Boundary[Any]):
    """The boundary of one wrapped object."""

    name: ClassVar[str] = "host"
    kind: ClassVar[Kind] = HOST
    snapshot: ClassVar[bool] = True
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, target: Any, effects: Iterable[str] | None = None) -> None:
        self.name = f"host:{name}"  # type: ignore[misc]  # one instance for each wrapped object
        self.target_name = name
        self.target = target
        self._class: Any = type(target)
        self._effects = None if effects is None else frozenset(effects)

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: the app wraps its objects itself."""
        del module
        return ()

    def call(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, step: int = 0) -> Call:
        """The Call of a method, its arguments copied as they are now."""
        request = functools.partial(
            _form,
            self.target_name,
            method,
            snapshot(args),
            snapshot(dict(kwargs)),
            effect=self._is_effect(method),
            step=step,
        )
        answer = _answer_of(self._class, method)
        return Call(request, annotation=answer.item if step else answer.whole)

    def _is_effect(self, method: str) -> bool:
        return not reads_by_name(method) if self._effects is None else method in self._effects

    def dump(self, result: Any) -> Value:
        """The value, opaque where no annotation rebuilds it; `self` for the wrapped object, `end` of a generator."""
        if result is self.target:
            return {"self": True}
        if result is _END:
            return {"end": True}
        return {"value": encode_or_opaque(result, rebuilt_by=_all_answers(self._class))}

    def load(self, value: Value, call: Call) -> Any:
        """The answer, typed by the live method's return annotation."""
        if "self" in value:
            return self.target
        return _END if "end" in value else decode(value["value"], call.annotation)


boundary = HostBoundary("", None)


def boundary_around(obj: Any) -> HostBoundary | None:
    """The boundary of an object that `host` gave; None for any other."""
    return obj._self_boundary if type(obj) is _Proxy else None  # noqa: SLF001 - as in `_crossed`


def _form(
    target: str,
    method: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    effect: bool,
    step: int,
) -> Request:
    request = {
        "target": target,
        "method": method,
        "args": plain(encode_or_opaque(list(args))),
        "kwargs": plain(encode_or_opaque(dict(kwargs))),
        "effect": effect,
    }
    return {**request, "step": step} if step else request


# -- what a method answers


@dataclass(frozen=True, slots=True)
class _Answer:
    """Annotations: of the whole answer, and of an item where the method is a generator."""

    whole: Any = Any
    item: Any = Any


@functools.lru_cache(maxsize=4096)
def _answer_of(cls: type, method: str) -> _Answer:
    function = inspect.getattr_static(cls, method, None)
    function = getattr(function, "__func__", getattr(function, "fget", function))
    try:
        whole = get_type_hints(function, include_extras=True).get("return", Any)
    except Exception:  # evaluating an annotation may run any code of the app; then there is none
        return _Answer()
    items = get_args(whole)
    is_stream = items and isinstance(origin := get_origin(whole), type) and issubclass(origin, Iterable | AsyncIterator)
    return _Answer(whole, items[0] if is_stream else Any)


@functools.lru_cache(maxsize=256)
def _all_answers(cls: type) -> Any:
    """One annotation that reaches every class that some method of the object may answer."""
    hints = [_answer_of(cls, name).whole for name in dir(cls) if callable(inspect.getattr_static(cls, name, None))]
    return types.GenericAlias(tuple, tuple(hint for hint in hints if hint is not Any))


# -- the crossing


class _Proxy(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic to the type checker only
    """The wrapped object, with its callable attributes and the dunders below crossing its boundary."""

    def __init__(self, target: Any, its_boundary: HostBoundary) -> None:
        super().__init__(target)
        self._self_boundary = its_boundary

    def __getattr__(self, name: str) -> Any:
        attribute = super().__getattr__(name)
        if name.startswith("_") or not callable(attribute) or isinstance(attribute, type):
            return attribute
        return _crossed(self, name, attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _crossed(self, "__call__", self.__wrapped__)(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return _crossed(self, "__getitem__", self.__wrapped__.__getitem__)(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _crossed(self, "__setitem__", self.__wrapped__.__setitem__)(key, value)

    def __delitem__(self, key: Any) -> None:
        _crossed(self, "__delitem__", self.__wrapped__.__delitem__)(key)

    def __contains__(self, key: Any) -> bool:
        return bool(_crossed(self, "__contains__", lambda item: item in self.__wrapped__)(key))

    def __len__(self) -> int:
        return int(_crossed(self, "__len__", lambda: len(self.__wrapped__))())

    def __iter__(self) -> Iterator[Any]:
        return _each(self, "__iter__", lambda: iter(self.__wrapped__), (), {})

    def __enter__(self) -> Any:
        return _crossed(self, "__enter__", self.__wrapped__.__enter__)()

    def __exit__(self, *error: object) -> Any:
        return _crossed(self, "__exit__", lambda _: self.__wrapped__.__exit__(*error))(_type_name(error))

    async def __aenter__(self) -> Any:
        return await _crossed(self, "__aenter__", self.__wrapped__.__aenter__)()

    async def __aexit__(self, *error: object) -> Any:
        async def leave(_: str | None) -> Any:
            return await self.__wrapped__.__aexit__(*error)

        return await _crossed(self, "__aexit__", leave)(_type_name(error))


def _type_name(error: tuple[object, ...]) -> str | None:
    return getattr(error[0], "__qualname__", None)


def _crossed(proxy: _Proxy, method: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """The method as the app sees it: outside runs the original, inside one a crossing."""
    its_boundary: HostBoundary = proxy._self_boundary  # noqa: SLF001 - wrapt's own prefix for a proxy's attributes

    def answered(answer: Any) -> Any:
        return proxy if answer is its_boundary.target else answer

    def cross(*args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return answered(original(*args, **kwargs))
        call, live = its_boundary.call(method, args, kwargs), functools.partial(original, *args, **kwargs)
        return answered(session.call(its_boundary, call, live))

    async def cross_async(*args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return answered(await original(*args, **kwargs))
        call, live = its_boundary.call(method, args, kwargs), functools.partial(original, *args, **kwargs)
        return answered(await session.acall(its_boundary, call, live))

    def cross_each(*args: Any, **kwargs: Any) -> Iterator[Any]:
        return _each(proxy, method, functools.partial(original, *args, **kwargs), args, kwargs)

    def cross_each_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _each_async(proxy, method, functools.partial(original, *args, **kwargs), args, kwargs)

    crossed: Callable[..., Any] = cross
    if _is(inspect.iscoroutinefunction, original):
        crossed = cross_async
    elif _is(inspect.isgeneratorfunction, original):
        crossed = cross_each
    elif _is(inspect.isasyncgenfunction, original):
        crossed = cross_each_async
    return functools.update_wrapper(crossed, original, updated=())


def _is(sort: Callable[[Any], bool], original: Any) -> bool:
    return sort(inspect.unwrap(original)) or sort(inspect.getattr_static(type(original), "__call__", None))


def _each(
    proxy: _Proxy,
    method: str,
    original: Callable[[], Iterator[Any]],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Iterator[Any]:
    """The items of a generator, each a crossing of its own; the live generator is made with the first live one."""
    its_boundary: HostBoundary = proxy._self_boundary  # noqa: SLF001 - wrapt's own prefix for a proxy's attributes
    args, kwargs = snapshot(args), snapshot(dict(kwargs))
    started: list[Iterator[Any]] = []

    def live() -> Any:
        if not started:
            started.append(original())
        return next(started[0], _END)

    step = 0
    try:
        while True:
            step += 1
            session: Session | None = crossing()
            item = (
                live()
                if session is None
                else session.call(its_boundary, its_boundary.call(method, args, kwargs, step=step), live)
            )
            if item is _END:
                return
            yield item
    finally:
        if started and hasattr(started[0], "close"):
            started[0].close()


async def _each_async(
    proxy: _Proxy,
    method: str,
    original: Callable[[], AsyncIterator[Any]],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> AsyncIterator[Any]:
    """`_each` for async generators."""
    its_boundary: HostBoundary = proxy._self_boundary  # noqa: SLF001 - wrapt's own prefix for a proxy's attributes
    args, kwargs = snapshot(args), snapshot(dict(kwargs))
    started: list[AsyncIterator[Any]] = []

    async def live() -> Any:
        if not started:
            started.append(original())
        return await anext(started[0], _END)

    step = 0
    try:
        while True:
            step += 1
            session: Session | None = crossing()
            awaited: Awaitable[Any] = (
                live()
                if session is None
                else session.acall(its_boundary, its_boundary.call(method, args, kwargs, step=step), live)
            )
            item = await awaited
            if item is _END:
                return
            yield item
    finally:
        if started and hasattr(started[0], "aclose"):
            await started[0].aclose()
