"""The kind file: how what is asked and made of files outside of the project is compared and shown. Pure; no I/O.

A request is `{"command", "path"}`. Looking: `read` (a file's whole content), `stat`, `lstat`, `list`, `access`,
`readlink`, `listxattr`, `statvfs`, and `open`, which begins a change. Changing: `write` with `mode` and `content`,
which is None where it is too much; `rename` with `to`; `remove`, `mkdir`, `rmdir`, `truncate`, `chmod`, `utime`,
`link`, `symlink`. Further `arguments` are plain.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.kinds.structure import ABSENT, named_scalars, structural_differences
from pytest_fluxrun.values import decode

__all__ = ["FILE", "File"]

_MAX_TEXT: Final = 200
_LOOKING: Final = frozenset({"read", "stat", "lstat", "list", "access", "readlink", "listxattr", "statvfs", "open"})
_COMPARED: Final = ("command", "path", "to", "mode", "arguments")
_SETTING: Final = re.compile(r"""^\s*(?:export\s+)?["']?([A-Za-z_][\w.-]*)["']?\s*[:=]\s*["']?(.+?)["']?,?\s*$""")
_SECRETS: Final = "/secrets/"
_MOST_LINES: Final = 2_000


class File(Kind):
    """Files and directories."""

    name: ClassVar[str] = "file"

    def canonical(self, request: Request) -> str:
        """Equal for the same path, arguments and content; JSON key order in a `.json` file folded."""
        parts = {part: request[part] for part in _COMPARED if request.get(part) is not None}
        content = request.get("content")
        if content is not None:
            parts["content"] = hashlib.blake2b(_folded(request["path"], content), digest_size=16).hexdigest()
        return json.dumps(parts, sort_keys=True, default=str)

    def operation(self, request: Request) -> str:
        """`write /srv/uploads/a.txt`."""
        return f"{request['command']} {request['path']}"

    def shape(self, request: Request) -> str:
        """The command alone: a path may hold a value in any of its parts."""
        return str(request["command"])

    def is_effect(self, request: Request) -> bool:
        """Whatever doesn't only look."""
        return request["command"] not in _LOOKING

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Command, path and arguments, then the content: by path where it is JSON."""
        found: list[Difference] = []
        for part in _COMPARED:
            found += structural_differences(f"request.{part}", recorded.get(part, ABSENT), asked.get(part, ABSENT))
        old, new = (_readable(form["path"], form.get("content")) for form in (recorded, asked))
        return [*found, *structural_differences("request.content", old, new)]

    def text(self, request: Request) -> str:
        """`write /srv/uploads/a.txt <12 bytes>`, at most 200 characters."""
        content = request.get("content")
        shown = "" if content is None else f" <{len(content)} bytes>"
        to = f" to {request['to']}" if "to" in request else ""
        text = " ".join(f"{self.operation(request)}{to}{shown}".split())
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """Keys of JSON, and of lines like `name = value`; the whole of a file of one line, by its name."""
        yield from _named(request["path"], request.get("content"))
        if isinstance(answer, dict) and answer.get("content") is not None:
            try:
                yield from _named(request["path"], decode(answer["content"]))
            except FluxRunError:
                return


FILE = File()


def _folded(path: str, content: Any) -> bytes:
    readable = _readable(path, content)
    if isinstance(readable, dict | list):
        return json.dumps(readable, sort_keys=True).encode()
    return bytes(content)


def _readable(path: str, content: Any) -> Any:
    """A JSON file's structure, text as text, all else as it is."""
    if not isinstance(content, bytes):
        return content
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if path.endswith(".json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _named(path: str, content: Any) -> Iterator[tuple[str, Any]]:
    readable = _readable(path, content)
    if isinstance(readable, dict | list):
        yield from named_scalars(readable)
    elif isinstance(readable, str):
        name = os.path.basename(path)
        if "\n" not in readable.strip():
            yield f"secret.{name}" if _SECRETS in path else name, readable.strip()
        for line in readable.splitlines()[:_MOST_LINES]:
            found = _SETTING.match(line)
            if found is not None:
                yield found[1], found[2]
