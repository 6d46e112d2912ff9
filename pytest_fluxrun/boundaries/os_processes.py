"""os and pty: `os.system` is a start like any other; other ways to a process are refused by name inside a run.

`os._exit` is refused too. Forks of multiprocessing are its own affair, and a server's at start-up are no run's. What
subprocess does with these functions is part of its own crossing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.processes.asked import ProcessLibrary, start_of
from pytest_fluxrun.boundary import Call, Patch, Uncovered
from pytest_fluxrun.context import current_lane, reading
from pytest_fluxrun.places import module_of

__all__ = ["OsProcesses", "boundary"]

_REFUSED: Final = {
    "os": ("fork", "forkpty", "posix_spawn", "posix_spawnp", "execv", "execve"),
    "pty": ("fork", "spawn"),
}
_EXEMPT: Final = ("multiprocessing.", "pytest_fluxrun.")


class OsProcesses(ProcessLibrary):
    """`os.system`; and what is refused."""

    name: ClassVar[str] = "os.system"
    modules: ClassVar[tuple[str, ...]] = ("os", "pty")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Each function that the platform has."""
        for function in _REFUSED[module.__name__]:
            if hasattr(module, function):
                yield Patch(module, function, _Forbidden(f"{module.__name__}.{function}").forbid)
        if module.__name__ == "os":
            yield Patch(module, "system", _system)
            yield Patch(module, "_exit", _Ending("os._exit").forbid)


class _Forbidden(Uncovered):
    """One function."""

    instead: ClassVar[str] = "start the program through subprocess or asyncio, whose output is recorded"
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, function: str) -> None:
        self.name = function  # type: ignore[misc]  # one instance for each function

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: the boundary below makes them."""
        del module
        return ()

    def forbid(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`original`, refused inside a run."""

        @functools.wraps(original)
        def forbidden(*args: Any, **kwargs: Any) -> Any:
            session = reading()
            if session is None or session.preamble or session.closed or _is_exempt(sys._getframe(1)):  # noqa: SLF001 - the only way to the calling code
                return original(*args, **kwargs)
            session.uncovered(self)
            return original(*args, **kwargs)

        return forbidden


class _Ending(_Forbidden):
    """What ends the process at once, and a session of replays with it."""

    instead: ClassVar[str] = "raise SystemExit, which a run can end with"


def _is_exempt(frame: Any) -> bool:
    return module_of(frame.f_code.co_filename).startswith(_EXEMPT)


def _system(original: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(original)
    def system(command: Any) -> int:
        session = reading()
        if session is None or current_lane() is None:
            return original(command)
        request = start_of(session, command, shell=True, cwd=None, env=None)  # noqa: S604 - nothing is started here
        answer = session.call(boundary, Call(request), lambda: {"status": original(command)})
        return int(answer["status"])

    return system


boundary = OsProcesses()
