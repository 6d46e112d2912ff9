"""Recorded errors as source that raises or expects them. Reads `sys.modules`; imports nothing.

A bundle only names a class that the live program has: any other text in its place would become code of the test.
"""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any, Final

from pytest_fluxrun.errors import FluxRunError, RecordedError
from pytest_fluxrun.export.literals import arguments, called
from pytest_fluxrun.values import Value, load_error, plain

__all__ = ["class_of", "raised_anew"]

_ABSENT: Final = object()
_MADE: Final = ("builtins", "httpx", "sqlite3")
"""Modules whose classes an exported file can name before it imports the app."""


def class_of(dumped: Value) -> tuple[str, str]:
    """The module and the qualified name of a recorded error's class, which is one of the live program.

    Raises:
        FluxRunError: no module that is loaded holds it.
    """
    module, _, name = str(plain(dumped)["type"]).partition(":")
    if module == "__main__" or isinstance(load_error(dumped), RecordedError):
        raise FluxRunError(
            "the run can't be exported as a plain test",
            why=f"the class of its error, {name!r} in {module!r}, is in no module that the app imports at its start",
            next_step="keep the run as a guard instead: `fluxrun expect RUN`",
        )
    return module, name


def raised_anew(dumped: Value, base: type[BaseException], imports: set[str]) -> str:
    """An expression that makes an equal error, with the attributes that its arguments don't give it.

    Args:
        base: what its class must descend from.
        imports: what the expression needs imported is added.

    Raises:
        FluxRunError: the class is another one, or its constructor makes no such error of the recorded arguments.
    """
    module, name = class_of(dumped)
    error = load_error(dumped)
    kind = type(error)
    if module not in _MADE or not isinstance(error, base):
        raise FluxRunError(f"a plain test can't raise {module}.{name}")
    try:
        again = kind(*error.args)
    except TypeError as refused:
        raise FluxRunError(f"a plain test can't raise {module}.{name}", why=str(refused)) from None
    needed: set[str] = set() if module == "builtins" else {module}
    spelt = name if module == "builtins" else f"{module}.{name}"
    source = f"{spelt}({arguments(error.args, {}, needed)})"
    there = _state(again, dumped)
    lacking = {key: value for key, value in _state(error, dumped).items() if there.get(key, _ABSENT) != value}
    if lacking:
        source = f"having({source}, {called(lacking, needed)})"
    if not needed - {*_MADE} <= sys.stdlib_module_names:
        raise FluxRunError(f"a plain test can't raise {spelt}", why="it holds a value of one of the app's classes")
    imports |= needed
    return source


def _state(error: BaseException, dumped: Value) -> dict[str, Any]:
    """The recorded attributes as an error has them: its own and C fields, no property."""
    own, found = vars(error), {}
    for name in plain(dumped).get("attributes", {}):
        held = inspect.getattr_static(type(error), name, None)
        if name in own or isinstance(held, types.MemberDescriptorType | types.GetSetDescriptorType):
            found[name] = own[name] if name in own else getattr(error, name, None)
    return found
