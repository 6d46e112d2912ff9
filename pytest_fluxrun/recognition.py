"""Which entry file an application object belongs to, and what to say about one that belongs to none.

Knows no framework: entry files recognise, describe and hint; here is what holds for the objects of all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from pytest_fluxrun.context import name_of
from pytest_fluxrun.entry import Entry
from pytest_fluxrun.errors import SettingsError

__all__ = ["entry_for"]

_MOST_NAMED = 3
_USUAL_NAMES = frozenset({"app", "application"})


def entry_for(app: Any, kind: str, known: Sequence[Entry]) -> Entry:
    """The entry file for an object.

    Args:
        kind: which one, for an object that is of more than one kind; else "".

    Raises:
        SettingsError: none recognises it, more than one does, or the kind doesn't exist.
    """
    kinds = ", ".join(entry.kind for entry in known)
    if kind and kind not in {entry.kind for entry in known}:
        raise SettingsError(f"there is no kind of entry {kind!r}", why=f"there are: {kinds}")
    asked = [entry for entry in known if kind in {"", entry.kind}]
    found = [entry for entry in asked if entry.recognises(app)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SettingsError(
            f"fluxrun.instrument recognises {_named(app)} more than once",
            why="it is " + ", and also ".join(entry.describe(app) for entry in found),
            next_step=f"say which, e.g. fluxrun.instrument(app, kind={found[0].kind!r})",
        )
    hints = [hint for entry in asked if (hint := entry.hint(app))]
    raise SettingsError(
        f"fluxrun.instrument doesn't recognise {_named(app)}",
        why="; ".join(hints) or _near_miss(app, lambda one: any(entry.recognises(one) for entry in asked)),
        next_step=f"pass {'; '.join(entry.takes for entry in asked if entry.takes)}; or decorate a function with "
        "@fluxrun.capture",
    )


def _named(app: Any) -> str:
    """The object by its own name, or by its class's. Never by repr: that may be long, or hold a secret."""
    if isinstance(app, ModuleType):
        return f"the module {app.__name__}"
    if inspect.isclass(app):
        return f"the class {app.__module__}.{app.__qualname__}"
    if inspect.isroutine(app):
        return f"the function {app.__module__}.{name_of(app)}"
    return f"an object of {type(app).__module__}.{type(app).__qualname__}"


def _near_miss(app: Any, recognised: Callable[[Any], bool]) -> str:
    """What is nearly an application, whatever the framework, and what to do about it."""
    if isinstance(app, ModuleType):
        names = [f"{app.__name__}.{name}" for name in _applications(app, recognised)]
        return f"it is a module: pass {' or '.join(names[:_MOST_NAMED])}" if names else "it is a module"
    if inspect.isclass(app):
        return f"it is a class: pass an instance, e.g. {app.__name__}()"
    if isinstance(app, str):
        return "it is text: pass the object itself, not where it is imported from"
    if inspect.iscoroutine(app):
        return "it is a coroutine that nobody has awaited: pass what it returns"
    if inspect.isroutine(app) and not _needs_arguments(app):
        return f"it is a function without parameters: if it makes the application, call it first: {app.__name__}()"
    return "it can be called with nothing that a server or a queue calls an application with"


def _applications(module: ModuleType, recognised: Callable[[Any], bool]) -> Iterator[str]:
    """Names of what looks like one; of functions and classes, which may be anything, only those that are called so."""
    for name, one in vars(module).items():
        anything = name.startswith("_") or inspect.isroutine(one) or inspect.isclass(one)
        if (name in _USUAL_NAMES or not anything) and recognised(one):
            yield name


def _needs_arguments(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return True
    return False
