"""WSGI applications: each request is a run. `wrap` tees input and answer; `drive` plays the server.

PEP 3333. Flask, Django, Pyramid, Falcon, werkzeug and plain callables, by the protocol alone: what a framework knows
beside it (route, swallowed error) comes from the framework's boundary file, by `entry.note_route` and `note_error`.
"""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any

from pytest_fluxrun.entries.web.instrumented import Instrumented, instrumented
from pytest_fluxrun.entries.web.signatures import called_with, is_called_with, is_called_with_any, parameter_names
from pytest_fluxrun.entries.web.wsgi_recording import record_wsgi
from pytest_fluxrun.entries.web.wsgi_replay import drive_wsgi
from pytest_fluxrun.entry import Driving, Entry, open_run
from pytest_fluxrun.values import Value

__all__ = ["WSGIEntry", "entry"]

_HAND_THEMSELVES_ON = frozenset({"run", "test_client"})
"""Methods of application objects (Flask) that give `self` to a server or client: it must be the proxy."""
_FRAMEWORKS = {
    "django": "Django",
    "falcon": "Falcon",
    "flask": "Flask",
    "pyramid": "Pyramid",
    "werkzeug": "werkzeug",
}
"""Top-level package of an application's class → what people call it. Only for the description."""


class WSGIEntry(Entry):
    """Any WSGI application: a function, a class, or an object, called with an environ and `start_response`."""

    kind = "wsgi"
    takes = f"a WSGI application ({', '.join(sorted(_FRAMEWORKS.values()))}, a plain callable …)"

    def recognises(self, target: Any) -> bool:
        """A function, class or object that takes two positional arguments and isn't `async`."""
        call = called_with(target)
        if call is None:  # PEP 3333: a class whose instances are the iterables
            return inspect.isclass(target) and hasattr(target, "__iter__") and is_called_with(target, 2)
        if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
            return False
        return is_called_with(call, 2) or (inspect.isfunction(call) and is_called_with_any(call))

    def describe(self, target: Any) -> str:
        """By the framework that its class or a base of it comes from."""
        if inspect.isroutine(target) or inspect.isclass(target):
            return f"the callable {target.__module__}.{target.__qualname__} (WSGI)"
        for base in target.__class__.__mro__:
            known = _FRAMEWORKS.get(base.__module__.partition(".")[0])
            if known is not None:
                return f"a {known} application (WSGI)"
        return f"an object of {target.__class__.__module__}.{target.__class__.__qualname__} (WSGI)"

    def hint(self, target: Any) -> str:
        """For callables that begin like one and aren't."""
        call = called_with(target)
        if call is None or parameter_names(call)[:1] != ["environ"]:
            return ""
        if inspect.iscoroutinefunction(call):
            return "it takes what a WSGI application takes, but is `async def`: WSGI is synchronous"
        return "it takes an `environ`, but not (environ, start_response) as a WSGI application does"

    def wrap(self, target: Any, name: str) -> Any:
        """A proxy of the application: everything but the call itself goes to the original."""
        return instrumented(target, name, _Teed)

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Call the application with the recorded request and collect its answer, as far as the server did."""
        return drive_wsgi(target.__wrapped__, recorded_input, driving)


class _Teed(Instrumented):
    """The application, teed."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name in _HAND_THEMSELVES_ON and getattr(found, "__self__", None) is self.__wrapped__:
            return MethodType(found.__func__, self)
        return found

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        run = open_run(self._self_name, entry)
        if run is None:
            return self.__wrapped__(environ, start_response)
        return record_wsgi(self.__wrapped__, environ, start_response, run)


entry = WSGIEntry()
