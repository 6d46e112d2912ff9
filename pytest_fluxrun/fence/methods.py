"""What no audit event covers: sends and receives of connected sockets, TLS writes, the C way to start a process.

Each fence sets them on the classes and takes them off again, innermost first. What somebody else has set on top in
between is left alone.
"""

from __future__ import annotations

import _posixsubprocess
import _socket
import functools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pytest_fluxrun import telemetry
from pytest_fluxrun.context import current_lane
from pytest_fluxrun.fence import rules as switch
from pytest_fluxrun.fence.rules import Rules, is_harmless

__all__ = ["MethodSeams"]

_ABSENT: Any = object()
_SENDS = ("send", "sendall", "sendfile", "sendmsg")
_RECEIVES = ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into")
_TLS_SENDS = ("send", "sendall", "write")
_TLS_RECEIVES = ("read", "recv", "recv_into")


def _socket_class() -> type[socket.socket]:
    """The standard library's class, also where a plugin has put a subclass in its place."""
    return next(cls for cls in socket.socket.__mro__ if _socket.socket in cls.__bases__)


_SOCKET = _socket_class()


class MethodSeams:
    """The methods of one fence: `set` puts them on, `restore` takes them off."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any, Any]] = []

    def set(self) -> None:
        """Put the guarded methods on, TLS ones only where `ssl` is loaded."""
        for owner, name, wrap in _seams():
            before = vars(owner).get(name, _ABSENT)
            replacement = wrap(name, getattr(owner, name))
            setattr(owner, name, replacement)
            self._before.append((owner, name, before, replacement))

    def restore(self) -> None:
        """Put back what was there."""
        while self._before:
            owner, name, before, replacement = self._before.pop()
            if vars(owner).get(name) is not replacement:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def _seams() -> Iterator[tuple[Any, str, Callable[[str, Any], Any]]]:
    yield from ((_SOCKET, name, _sending) for name in _SENDS)
    yield from ((_SOCKET, name, _receiving) for name in _RECEIVES)
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        yield from ((ssl.SSLSocket, name, _sending) for name in _TLS_SENDS)
        yield from ((ssl.SSLSocket, name, _receiving) for name in _TLS_RECEIVES)
        yield ssl.SSLObject, "write", _encrypting
    yield _posixsubprocess, "fork_exec", _starting
    if hasattr(subprocess, "_fork_exec"):
        yield subprocess, "_fork_exec", _starting
    executors = sys.modules.get("concurrent.futures.process")
    if executors is not None:
        yield executors.ProcessPoolExecutor, "submit", _handing_over
    pools = sys.modules.get("multiprocessing.pool")
    if pools is not None:
        yield pools.Pool, "_check_running", functools.partial(_handing_over, threads=pools.ThreadPool)


def _handing_over(name: str, original: Any, threads: Any = ()) -> Any:
    """A process that runs already is behind no fence: it is given no job."""
    del name

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        rules = switch.up
        if rules is not None and not isinstance(self, threads):
            rules.refuse("job for another process", type(self).__qualname__)
        return original(self, *args, **kwargs)

    return method


def _sending(name: str, original: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        rules = switch.up
        if rules is not None and self not in telemetry.dead_ends:
            _check(rules, f"socket.{name}", self)
        return original(self, *args, **kwargs)

    return method


def _receiving(name: str, original: Any) -> Any:
    """Refused in the run's lanes only: another thread's pending read changes nothing outside."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        rules = switch.up
        if rules is not None and current_lane() is not None:
            _check(rules, f"socket.{name}", self)
        return original(self, *args, **kwargs)

    return method


def _encrypting(name: str, original: Any) -> Any:
    """TLS over memory: the socket below may be one of C code (uvloop) that nothing else here sees."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        rules = switch.up
        if rules is not None and current_lane() is not None:
            rules.refuse(f"ssl.{name}", self.server_hostname or "its peer")
        return original(self, *args, **kwargs)

    return method


def _starting(name: str, original: Any) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        rules = switch.up
        if rules is not None:
            program = os.fsdecode(args[0][0]) if args and args[0] else ""
            rules.refuse(f"process.{name}", os.path.basename(program))
        return original(*args, **kwargs)

    return function


def _check(rules: Rules, event: str, sock: socket.socket) -> None:
    descriptor = sock.fileno()
    if descriptor < 0 or is_harmless(sock.family) or rules.keeps(descriptor):
        return
    if sock.family == socket.AF_UNIX and descriptor not in rules.killed:
        peer = _peer(sock)
        if not peer:
            return
        rules.refuse(event, f"unix:{os.fsdecode(peer)}")
        return
    peer = _peer(sock)
    rules.refuse(event, f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a connection from before the replay")


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:
        return None
