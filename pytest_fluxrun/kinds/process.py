"""The kind process: how what is asked of child processes is compared, shown and searched for secrets. Pure; no I/O.

A start is `{"command": "start", "argv": [str, ...], "shell": bool, "cwd": str, "env": {name: value}}`, `env` being what
differs from the program's own. Everything after it names the process by the number that the answer to its start gave:
`{"command": "input" | "communicate" | "read" | "poll" | "wait" | "signal", "process", "program", ...}`, with `data` or
`input` for what it is told, `signal` for a signal's number, `stream` for what is read of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.kinds.structure import ABSENT, named_scalars, structural_differences

__all__ = ["PROCESS", "Process", "program_of"]

_MAX_TEXT: Final = 200
_LOOKING: Final = frozenset(
    {
        "arp",
        "file",
        "getconf",
        "hostname",
        "id",
        "ifconfig",
        "ip",
        "lanscan",
        "ldconfig",
        "lsb_release",
        "netstat",
        "nproc",
    }
    | {"sw_vers", "uname", "which", "whoami"}
)
"""Programs that tell of the machine and change nothing: what `platform` and `uuid` start, and their like."""
_OPTION: Final = re.compile(r"--?([A-Za-z][\w.-]*)(?:[= ](.+))?", re.DOTALL)
_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_COMPARED: Final = ("command", "argv", "shell", "cwd", "env", "process", "stream", "signal", "size")


def program_of(argv: Iterable[str]) -> str:
    """A command's program without its directory: of a shell's line, the first word that assigns no variable."""
    words = [word for part in argv for word in part.split() if not _ASSIGNED.fullmatch(word)][:1]
    return os.path.basename(words[0].strip("'\"<>")) if words else ""


class Process(Kind):
    """Child processes."""

    name: ClassVar[str] = "process"

    def canonical(self, request: Request) -> str:
        """Equal for the same command line, directory, own variables and input; after a start, of one process."""
        parts = {part: request[part] for part in _COMPARED if request.get(part) is not None}
        told = _told(request)
        if told is not None:
            data = told.encode("utf-8", "surrogatepass") if isinstance(told, str) else bytes(told)
            parts["told"] = hashlib.blake2b(data, digest_size=16).hexdigest()
        return json.dumps(parts, sort_keys=True)

    def operation(self, request: Request) -> str:
        """`start git`, `input git`."""
        if request["command"] == "start":
            return f"start {program_of(request['argv'])}"
        return f"{request['command']} {request['program']}"

    def is_effect(self, request: Request) -> bool:
        """Starting a process changes the outside, unless it is known to look only; so do its input and signals."""
        command = request["command"]
        if command == "start":
            return program_of(request["argv"]) not in _LOOKING or bool(request.get("shell"))
        return command in {"input", "signal"} or (command == "communicate" and bool(request.get("input")))

    def may_repeat(self, request: Request) -> bool:
        """What was read of a pipe is gone."""
        return bool(request["command"] != "read")

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Command line, directory, variables, then what the process is told."""
        found: list[Difference] = []
        for part in _COMPARED:
            found += structural_differences(f"request.{part}", recorded.get(part, ABSENT), asked.get(part, ABSENT))
        name = "data" if "data" in asked or "data" in recorded else "input"
        old, new = _told(recorded), _told(asked)
        old_json, new_json = _parsed(old), _parsed(new)
        if old_json is not None and new_json is not None:
            old, new = old_json[0], new_json[0]
        return [*found, *structural_differences(f"request.{name}", old, new)]

    def text(self, request: Request) -> str:
        """`start git rev-parse HEAD`, `input psql <12 bytes>`, at most 200 characters."""
        told = _told(request)
        shown = f" <{len(told)} {'characters' if isinstance(told, str) else 'bytes'}>" if told else ""
        if request["command"] == "start":
            shown = " ".join(["", *request["argv"][1:]]) if not request.get("shell") else ""
            first = request["argv"][0] if request["argv"] else ""
            text = f"start {first if request.get('shell') else program_of(request['argv'])}{shown}"
        elif request["command"] == "signal":
            text = f"{self.operation(request)} {request['signal']}"
        else:
            text = f"{self.operation(request)}{shown}"
        text = " ".join(text.split())
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """Own variables, options with what follows them (`--password x`, `TOKEN=x`), and JSON keys of the input."""
        del answer
        yield from request.get("env", {}).items()
        yield from _named_options(request.get("argv", ()))
        parsed = _parsed(_told(request))
        if parsed is not None:
            yield from named_scalars(parsed[0])


PROCESS = Process()


def _told(request: Request) -> Any:
    told = request.get("data") if request["command"] == "input" else request.get("input")
    return told or None


def _named_options(argv: Iterable[str]) -> Iterator[tuple[str, str]]:
    words = [word for part in argv for word in (part.split() if " " in part else [part])]
    name = ""
    for word in words:
        assigned, option = _ASSIGNED.fullmatch(word), _OPTION.fullmatch(word)
        if option is not None:
            name = option[1]
            if option[2]:
                yield name, option[2]
                name = ""
        elif assigned is not None:
            yield assigned[1], assigned[2]
            name = ""
        elif name:
            yield name, word
            name = ""


def _parsed(told: Any) -> tuple[Any] | None:
    """The object or list in a JSON input, boxed; None for all else."""
    if not isinstance(told, str | bytes) or told[:1] not in ("{", "[", b"{", b"["):
        return None
    try:
        return (json.loads(told),)
    except (ValueError, RecursionError):
        return None
