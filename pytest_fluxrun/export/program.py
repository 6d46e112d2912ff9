"""Where the app's own objects are found by an import statement: what an exported test can name. Reads `sys.modules`.

Only objects of modules that are imported already; nothing is imported and nothing is called.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from pytest_fluxrun.boundaries.host import boundary_around
from pytest_fluxrun.entry import RegisteredEntry
from pytest_fluxrun.errors import FluxRunError

__all__ = ["HostClass", "Place", "Program", "find_program"]

_INNER = ("wsgi_app", "asgi_app")
"""Attributes in which frameworks hold the callable that is instrumented in place of the whole app."""


@dataclass(frozen=True, slots=True)
class Place:
    """`from <module> import <name>`."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class HostClass:
    """The class of an object that `fluxrun.host` wraps; `awaited`: its methods that are coroutine functions."""

    place: Place
    awaited: frozenset[str]


@dataclass(frozen=True, slots=True)
class Program:
    """What an exported test imports.

    Args:
        entry: the app or the function.
        target: the live object there.
        hosts: by their names.
    """

    entry: Place
    target: Any
    hosts: Mapping[str, HostClass] = field(default_factory=dict)


def find_program(registered: RegisteredEntry, modules: Iterable[str]) -> Program:
    """Where the entry and the wrapped objects are.

    Args:
        modules: the project's, which are looked through first.

    Raises:
        FluxRunError: the entry isn't held by a module.
    """
    ordered = [*dict.fromkeys([*modules, *sys.modules])]
    loaded = {name: module for name in ordered if isinstance(module := sys.modules.get(name), ModuleType)}
    place = _function(registered) if registered.entry.kind == "function" else _app(registered, loaded)
    return Program(place, registered.target, dict(_hosts(loaded)))


def _app(registered: RegisteredEntry, loaded: Mapping[str, ModuleType]) -> Place:
    for module, name, value in _globals(loaded):
        if value is registered.target or any(_held(value, inner) is registered.target for inner in _INNER):
            return Place(module, name)
    raise _not_found(registered, "no module has it as one of its names: a factory makes it, or a framework holds it")


def _held(value: Any, name: str) -> Any:
    return value.__dict__.get(name) if hasattr(value, "__dict__") else None


def _function(registered: RegisteredEntry) -> Place:
    target = registered.target
    module, name = target.__module__, target.__qualname__
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = None if found is None else inspect.getattr_static(found, part, None)
    if "." in name or found is None or module == "__main__":
        raise _not_found(registered, f"{module}.{name} isn't the name of a function that a module holds")
    return Place(module, name)


def _not_found(registered: RegisteredEntry, why: str) -> FluxRunError:
    return FluxRunError(
        f"the entry {registered.name!r} can't be imported by a test",
        why=why,
        next_step="give it a name in a module (app = make_app()), or keep the run as a guard: `fluxrun expect RUN`",
    )


def _hosts(loaded: Mapping[str, ModuleType]) -> Iterator[tuple[str, HostClass]]:
    for _, _, value in _globals(loaded):
        boundary = boundary_around(value)
        if boundary is None:
            continue
        kind = type(boundary.target)
        if kind.__module__ == "builtins" or "." in kind.__qualname__:
            continue
        awaited = frozenset(name for name, held in vars(kind).items() if inspect.iscoroutinefunction(held))
        yield boundary.target_name, HostClass(Place(kind.__module__, kind.__qualname__), awaited)


def _globals(loaded: Mapping[str, ModuleType]) -> Iterator[tuple[str, str, Any]]:
    for module_name, module in loaded.items():
        if module_name.partition(".")[0] not in ("pytest_fluxrun", "__main__"):
            yield from ((module_name, name, value) for name, value in list(vars(module).items()))
