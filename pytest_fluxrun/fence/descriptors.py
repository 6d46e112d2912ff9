"""Dead ends over every live socket that leads outside, for the length of one fence; the originals back afterwards.

Reaches what no Python seam sees: pools of C drivers, raw `os.write`. Linux only: elsewhere event registrations don't
survive the exchange. Each original is kept as a copy at a high number while a dead socket stands at its own.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import fcntl
import os
import resource
import select
import socket
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_fluxrun.fence.rules import is_harmless

__all__ = ["SUPPORTED", "DeadEnds", "baseline", "sever"]

SUPPORTED = sys.platform == "linux" and os.path.isdir("/proc/self/fdinfo")
_EPOLL_LINK = "anon_inode:[eventpoll]"
_EPOLL_CTL_ADD, _EPOLL_CTL_DEL = 1, 2
_FLOOR = 1 << 14
"""Copies are numbered from here, clear of `select` and of numbers that an app is likely to be given."""
_Registration = tuple[int, int]
"""Events and data of a descriptor in an epoll set."""


@dataclass(frozen=True, slots=True)
class _Saved:
    copy: int
    inheritable: bool


def baseline() -> frozenset[int]:
    """Inodes of the sockets open now. Take it when the plugin loads: what is open then is the test run's own."""
    return frozenset(_scan()[0].values()) if SUPPORTED else frozenset()


class DeadEnds:
    """The exchange of one fence: `lay`, then `lift`.

    Args:
        keep: inodes of sockets to leave alone, from `baseline`.

    Attributes:
        lost: descriptors that could not be given back, because the run closed them.
    """

    __slots__ = ("_dead", "_registrations", "_saved", "keep", "lost")

    def __init__(self, keep: frozenset[int]) -> None:
        self.keep = keep
        self.lost: tuple[int, ...] = ()
        self._dead = -1
        self._saved: dict[int, _Saved] = {}
        self._registrations: list[tuple[int, int, _Registration]] = []

    def lay(self) -> frozenset[int]:
        """Put a dead end over each socket that leads outside.

        Returns:
            The descriptors that are dead now.

        Raises:
            OSError: no descriptor is left for a copy; everything is back as it was.
        """
        sockets, others = _scan()
        targets = {fd: sockets[fd] for fd in _leading_outside(sockets, self.keep)}
        if not targets:
            return frozenset()
        dead = _dead_socket()
        self._dead = os.fstat(dead).st_ino
        try:
            self._unregister(targets, _epolls(others))
            self._exchange(targets, dead)
        except BaseException:
            self.lift()
            raise
        finally:
            os.close(dead)
        return frozenset(self._saved)

    def lift(self) -> None:
        """Give every original back, with its epoll registrations. A number that the run closed is left alone."""
        lost = []
        for descriptor, saved in reversed(self._saved.items()):
            if _inode(descriptor) == self._dead:
                os.dup2(saved.copy, descriptor, inheritable=saved.inheritable)
            else:
                lost.append(descriptor)
            os.close(saved.copy)
        for epoll, descriptor, registration in self._registrations:
            if descriptor not in self._saved:  # closed before it was exchanged: the number may be somebody else's
                continue
            if descriptor not in lost and not _register(epoll, descriptor, registration):
                lost.append(descriptor)
        self.lost = tuple(lost)
        self._saved.clear()
        self._registrations.clear()

    def _unregister(self, targets: Iterable[int], epolls: Mapping[int, Mapping[int, _Registration]]) -> None:
        for epoll, watched in epolls.items():
            for descriptor in watched.keys() & set(targets):
                with _unless_closed():
                    _epoll_ctl(epoll, _EPOLL_CTL_DEL, descriptor)
                    self._registrations.append((epoll, descriptor, watched[descriptor]))

    def _exchange(self, targets: Mapping[int, int], dead: int) -> None:
        floor = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2, _FLOOR)
        for descriptor, inode in targets.items():
            with _unless_closed():
                if _inode(descriptor) != inode:  # closed since the scan, and perhaps somebody else's by now
                    continue
                inheritable = os.get_inheritable(descriptor)
                copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, floor)
                self._saved[descriptor] = _Saved(copy, inheritable)
                os.dup2(dead, descriptor, inheritable=inheritable)


@contextmanager
def _unless_closed() -> Iterator[None]:
    """Pass over a descriptor that another thread has closed since the scan: it leads nowhere."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.ENOENT):
            raise


def sever(keep: frozenset[int] = frozenset()) -> int:
    """Cut a forked child off for good: dead ends over its sockets, listeners too, and epoll sets of its own.

    A child shares open sockets and epoll sets with its parent: what it sends there is sent for the parent, and what it
    unregisters there is gone for the parent. Call it first in the child, and only there. Unnamed pairs are left: an
    event loop from before the fork still shares its self-pipe, so a child makes a loop of its own.

    Returns:
        How many sockets were cut.
    """
    if not SUPPORTED:
        return 0
    sockets, others = _scan()
    targets = {fd for fd, inode in sockets.items() if inode not in keep and (_ends(fd) or _listens(fd))}
    dead = _dead_socket()
    for descriptor in targets:
        os.dup2(dead, descriptor, inheritable=False)
    os.close(dead)
    for epoll, watched in _epolls(others).items():
        own = select.epoll()
        os.dup2(own.fileno(), epoll, inheritable=False)
        own.close()
        for descriptor in watched.keys() - targets:
            _register(epoll, descriptor, watched[descriptor])
    return len(targets)


def _scan() -> tuple[dict[int, int], list[int]]:
    """All sockets (descriptor to inode), and its descriptors of no file type, epoll sets among them."""
    sockets: dict[int, int] = {}
    others: list[int] = []
    fstat, is_socket = os.fstat, stat.S_IFSOCK
    for name in os.listdir("/proc/self/fd"):
        try:
            status = fstat(int(name))
        except OSError:
            continue
        kind = status.st_mode & 0o170000
        if kind == is_socket:
            sockets[int(name)] = status.st_ino
        elif not kind:
            others.append(int(name))
    return sockets, others


def _leading_outside(sockets: Mapping[int, int], keep: frozenset[int]) -> list[int]:
    """Descriptors of sockets that lead out of this process: not listeners, not pairs, not with both ends in here."""
    ends = {fd: found for fd, inode in sockets.items() if inode not in keep and (found := _ends(fd))}
    peers = dict(ends.values())
    return [fd for fd, (own, peer) in ends.items() if peer is None or own is None or peers.get(peer) != own]


def _ends(descriptor: int) -> tuple[Any, Any] | None:
    """(own name, peer's name) of a socket that leads somewhere; the peer None where it could still be addressed."""
    try:
        sock = _socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        if is_harmless(sock.family) or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        return _named_ends(sock, descriptor)
    except OSError:
        return None
    finally:
        sock.detach()


def _named_ends(sock: _socket.socket, descriptor: int) -> tuple[Any, Any] | None:
    unix = sock.family == socket.AF_UNIX
    try:
        peer = sock.getpeername()
    except OSError:
        return None if unix else (descriptor, None)
    if not unix:
        return sock.getsockname(), peer
    return (sock.getsockname() or descriptor, peer) if peer else None


def _listens(descriptor: int) -> bool:
    try:
        sock = _socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
    finally:
        sock.detach()


def _dead_socket() -> int:
    """A descriptor on which every send fails with EPIPE and every read is at its end."""
    near, far = _socket.socketpair()  # raw sockets: a plugin may forbid `socket.socket` itself
    near.shutdown(socket.SHUT_RDWR)
    far.close()
    return near.detach()


def _inode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return -1


# -- epoll -----------------------------------------------------------------------------------------------------------


def _epolls(candidates: Iterable[int]) -> dict[int, dict[int, _Registration]]:
    """Epoll sets among descriptors, each with what it watches."""
    found = {}
    for descriptor in candidates:
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}") == _EPOLL_LINK:
                found[descriptor] = _watched(descriptor)
        except OSError:
            continue
    return found


def _watched(epoll: int) -> dict[int, _Registration]:
    """Lines of fdinfo: `tfd: 5 events: 19 data: ffff00000005 pos:0 ino:61 sdev:8`, the last numbers hexadecimal."""
    with open(f"/proc/self/fdinfo/{epoll}", encoding="ascii") as lines:
        rows = [line.split() for line in lines if line.startswith("tfd:")]
    return {int(row[1]): (int(row[3], 16), int(row[5], 16)) for row in rows}


def _register(epoll: int, descriptor: int, registration: _Registration) -> bool:
    try:
        _epoll_ctl(epoll, _EPOLL_CTL_ADD, descriptor, registration)
    except OSError as error:
        return error.errno == errno.EEXIST
    return True


def _epoll_ctl(epoll: int, operation: int, descriptor: int, registration: _Registration = (0, 0)) -> None:
    """`epoll_ctl(2)` itself: `select.epoll` can't set the data word, which C loops use for pointers.

    The struct is packed on x86-64 only.
    """
    events, data = registration
    layout = "=IQ" if os.uname().machine == "x86_64" else "@IQ"
    event = struct.pack(layout, events & 0xFFFFFFFF, data)
    if _libc().epoll_ctl(epoll, operation, descriptor, event):
        raise OSError(ctypes.get_errno(), "epoll_ctl")


@lru_cache(maxsize=1)
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
