"""A process forked before the app was imported, and children of it that each answer many requests. POSIX only.

A zygote's child works once, on the app as it was imported; a nursery's child imports it anew and stays. JSON both ways.
"""

from __future__ import annotations

import _socket
import array
import contextlib
import faulthandler
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pytest_fluxrun.execution.children import detach, die_with_parent, end, fork, get, put
from pytest_fluxrun.fence import sever

__all__ = ["Child", "Nursery"]

Work = Callable[[dict[str, Any]], dict[str, Any]]
_GRACE_S = 4.0
"""How much later than the child itself its parent gives up on an answer."""


class Nursery:
    """Fork it where nothing of the app is imported: every child starts from that state. Use it from one thread.

    Args:
        make_work: called once in each child; what it gives answers the requests, one after another.
        keep: sockets that children may keep, by inode (`fence.baseline`).
    """

    def __init__(self, make_work: Callable[[], Work], *, keep: frozenset[int] = frozenset()) -> None:
        # raw sockets: a session that forbids `socket.socket` (pytest-socket) doesn't mean these
        self._connection, theirs = _socket.socketpair()
        self._pid = fork()
        if self._pid == 0:
            self._connection.close()
            _be_nursery(theirs, make_work, keep)
        theirs.close()

    def child(self) -> Child:
        """A new child. Where the nursery is gone, each answer of the child is an error."""
        ours, theirs = _socket.socketpair()
        rights = array.array("i", [theirs.fileno()])
        with contextlib.suppress(OSError):
            self._connection.sendmsg([b"c"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        theirs.close()
        return Child(ours)

    def close(self) -> None:
        """End the nursery; its children end with it on Linux, and elsewhere when they are closed."""
        if self._pid:
            self._connection.close()
            end(self._pid)
            self._pid = 0


class Child:
    """One child, seen from outside."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self._failure = ""
        self._pid = 0

    def ask(self, request: Mapping[str, Any], *, deadline_s: float) -> dict[str, Any]:
        """Have the child work on a request.

        Returns:
            What its work gave, or {"error": …} where it raised, crashed or hung; a crashed child answers so for ever.
        """
        if not self._failure:
            try:
                return self._asked({"deadline_s": deadline_s, "request": dict(request)}, deadline_s + _GRACE_S)
            except (OSError, ValueError) as error:
                self._failure = f"the process gave no answer: {error}"
                self.close()
            except BaseException:
                self._failure = "the process was interrupted"
                self.close()
                raise
        return {"error": self._failure}

    def close(self) -> None:
        """End the child."""
        self._failure = self._failure or "the process was closed"
        self._connection.close()
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._pid = 0

    def _asked(self, document: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        self._connection.settimeout(timeout_s)
        if not self._pid:
            self._pid = int((get(self._connection) or {}).get("pid", 0))
        put(self._connection, document)
        answer = get(self._connection)
        if answer is None:
            raise ConnectionError("it has died")
        return answer


# -- in the nursery and its children ---------------------------------------------------------------------------------


def _be_nursery(connection: _socket.socket, make_work: Callable[[], Work], keep: frozenset[int]) -> NoReturn:
    """Never return into the code that forked."""
    try:
        detach()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
        while (descriptor := _received(connection)) is not None:
            if fork() == 0:
                connection.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _be_child(_socket.socket(fileno=descriptor), make_work, keep)
            os.close(descriptor)
    finally:
        os._exit(0)


def _received(connection: _socket.socket) -> int | None:
    """The next descriptor that was sent, or None at the connection's end."""
    data, ancillary, _, _ = connection.recvmsg(1, _socket.CMSG_SPACE(array.array("i").itemsize))
    if not data or not ancillary:
        return None
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2])
    return descriptors[0]


def _be_child(connection: _socket.socket, make_work: Callable[[], Work], keep: frozenset[int]) -> NoReturn:
    """Answer until nobody asks. A C thread of faulthandler ends what hangs, also where the GIL is held."""
    try:
        die_with_parent()
        put(connection, {"pid": os.getpid()})
        sever(keep)
        work = make_work()
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            while (asked := get(connection)) is not None:
                faulthandler.dump_traceback_later(asked["deadline_s"], exit=True, file=nowhere)
                answer = _answered(work, asked["request"])
                faulthandler.cancel_dump_traceback_later()
                put(connection, answer)
    finally:
        os._exit(0)


def _answered(work: Work, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return work(request)
    except BaseException as error:  # whatever the work raises is the answer, and nothing may escape a fork
        return {"error": f"{type(error).__name__}: {error}"}
