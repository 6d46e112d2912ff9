"""Forked children of this process, and JSON documents between them. POSIX only; imports no test framework."""

from __future__ import annotations

import _socket
import contextlib
import ctypes
import json
import os
import signal
import struct
import sys
import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["detach", "die_with_parent", "end", "fork", "get", "put"]

_LENGTH = struct.Struct("!I")
_PR_SET_PDEATHSIG = 1


def detach() -> None:
    """Nothing of the outer session's input and output (0 and 1 are execnet's under xdist); gone when its parent is."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def die_with_parent() -> None:
    """Linux; elsewhere the end of the connection ends the zygote, and its watch the child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def fork() -> int:
    """Python 3.12 and later warn wherever a thread exists; `lost_threads` has told the caller whether one matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def end(pid: int) -> None:
    """Kill a child of this process and wait for its end; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def put(connection: _socket.socket, document: Mapping[str, Any]) -> None:
    """Send a document."""
    body = json.dumps(document).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def get(connection: _socket.socket) -> dict[str, Any] | None:
    """The next document, or None at the connection's end."""
    head = _exactly(connection, _LENGTH.size)
    body = head and _exactly(connection, _LENGTH.unpack(head)[0])
    return json.loads(body) if body else None


def _exactly(connection: _socket.socket, size: int) -> bytes | None:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            return None
        received += part
    return received
