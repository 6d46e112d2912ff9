"""How a process's start is told: its command line, directory and own variables, without this machine's directories."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_fluxrun.boundaries.disk.roots import folded
from pytest_fluxrun.boundary import Boundary, Call, Request
from pytest_fluxrun.kinds.process import PROCESS, program_of
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["Child", "ProcessLibrary", "next_number", "start_of"]

_numbers: Final = itertools.count(1)


def next_number() -> str:
    """What a started process is called in a recording: never twice in this process, as answers outlive their run."""
    return f"{next(_numbers)}"


class ProcessLibrary(Boundary[dict[str, Any]]):
    """A boundary of the kind process. Answers are plain: what a start, a read, a wait gave, by name."""

    kind = PROCESS

    def weigh(self, result: dict[str, Any]) -> int:
        """The bytes of outputs."""
        return sum(len(part) for part in result.values() if isinstance(part, str | bytes))

    def dump(self, result: dict[str, Any]) -> Value:
        """As it is."""
        return encode(result)

    def load(self, value: Value, call: Call) -> dict[str, Any]:
        """What `dump` saw."""
        del call
        loaded: dict[str, Any] = decode(value)
        return loaded


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was started in a session, live or not."""

    number: str
    program: str

    def call(self, command: str, **more: Any) -> Call:
        """What it is asked."""
        return Call({"command": command, "process": self.number, "program": self.program, **more})


def start_of(session: Any, command: Any, *, shell: bool, cwd: Any, env: Any, executable: Any = None) -> Request:
    """The request of a start.

    Args:
        command: as subprocess takes it.
    """
    parts = [command] if isinstance(command, str | bytes | os.PathLike) else command
    argv = [_text(part) for part in parts]
    form: dict[str, Any] = {"command": "start", "argv": argv, "shell": shell}
    if executable is not None:
        form["argv"] = [_text(executable), *argv[1:]] if not shell else [_text(executable), *argv]
    if cwd is not None:
        form["cwd"] = _directory(_text(cwd))
    if env is not None:
        form["env"] = _own(session, env)
    form["program"] = program_of(form["argv"])
    return form


def _text(part: Any) -> str:
    return folded(os.fsdecode(part)) if isinstance(part, str | bytes | os.PathLike) else repr(type(part))


def _directory(path: str) -> str:
    """A directory of the program's own by its name in it; of any other, the last part."""
    return path if path.startswith("<") else os.path.basename(path.rstrip(os.sep)) or os.sep


def _own(session: Any, env: Mapping[Any, Any]) -> dict[str, str]:
    """The variables that differ from what the program's own environment says to the run."""
    own = {}
    for key, given in env.items():
        name, value = os.fsdecode(key), os.fsdecode(given)
        if session.read("environment", name, functools.partial(_live, name)) != value:
            own[name] = folded(value)
    return own


def _live(name: str) -> str | None:
    getitem = type(os.environ).__getitem__
    try:
        value: str = getattr(getitem, "__wrapped__", getitem)(os.environ, name)
    except KeyError:
        return None
    return value
