"""A process forked before anything ran, which forks one clean child per request. JSON both ways, nothing of the app.

Imports no test framework: what a child does is a function handed in. POSIX only.
"""

from __future__ import annotations

import _socket
import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn

from pytest_fluxrun.execution.children import detach, die_with_parent, end, fork, get, put
from pytest_fluxrun.fence import sever

__all__ = ["Zygote", "lost_threads"]

Work = Callable[[dict[str, Any]], Any]
_STACKS = 16_000
"""Characters of a stuck child's stacks that its answer holds."""
_KNOWN_THREADS = frozenset(
    {"_pydevd_bundle", "debugpy", "execnet", "pydevd", "pytest_rerunfailures", "pytest_timeout", "xdist"}
)
_GRACE_S = 2.0
"""How much later than the level below each level of supervision gives up."""


class Zygote:
    """Fork it where the app is imported and nothing has run: every answer then comes from that state.

    Use it from one thread. A child inherits no working socket that leads outside.

    Args:
        work: what a child does with a request; its JSON-able result is the answer.
        prepare: done once, in the zygote, before the first request.
        keep: sockets that children may keep, by inode (`fence.baseline`).
    """

    def __init__(
        self, work: Work, prepare: Callable[[], object] = lambda: None, *, keep: frozenset[int] = frozenset()
    ) -> None:
        # raw sockets: a session that forbids `socket.socket` (pytest-socket) doesn't mean these
        self._connection, theirs = _socket.socketpair()
        self._failure = ""
        self._greeted = False
        self.pid = fork()
        if self.pid == 0:
            self._connection.close()
            _be_zygote(theirs, work, prepare, keep)
        theirs.close()

    def ask(self, request: Mapping[str, Any], *, deadline_s: float) -> dict[str, Any]:
        """Have a new child work on the request.

        Returns:
            What `work` gave, or {"error": …, "stacks": …} where it raised, crashed, hung, or the zygote is gone.
        """
        if not self._failure and not self._greeted:
            self._greeted = True
            self._failure = self._receive(deadline_s).get("error", "")
        if self._failure:
            return {"error": self._failure}
        try:
            put(self._connection, {"deadline_s": deadline_s, "request": dict(request)})
        except OSError:
            self._failure = "the zygote has died"
            return {"error": self._failure}
        answer = self._receive(deadline_s)
        if "ok" not in answer:
            return answer
        return answer["ok"] if isinstance(answer["ok"], dict) else {"answer": answer["ok"]}

    def close(self) -> None:
        """End the zygote; asking it again gives an error."""
        if self.pid:
            self._failure = self._failure or "the zygote was closed"
            self._connection.close()
            end(self.pid)
            self.pid = 0

    def _receive(self, deadline_s: float) -> dict[str, Any]:
        self._connection.settimeout(deadline_s + 2 * _GRACE_S)
        try:
            answer = get(self._connection)
        except ConnectionError:
            answer = None
        except (OSError, ValueError) as error:
            answer = {"error": f"the zygote did not answer: {error}"}
            self._failure = answer["error"]
        except BaseException:
            self._failure = "the zygote was interrupted"
            raise
        if answer is None:
            self._failure = "the zygote has died"
            return {"error": self._failure}
        return answer


def lost_threads() -> tuple[str, ...]:
    """Threads of this process that a fork would lose and somebody may miss: not the test run's own ones.

    Returns:
        Their names; `native` for each that was started by C code, which Linux alone can tell.
    """
    frames = sys._current_frames()  # noqa: SLF001 - CPython's documented way
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    lost = [
        names.get(ident, f"thread {ident}")
        for ident, frame in frames.items()
        if ident not in {main, threading.get_ident()} and not _is_known(names.get(ident, ""), frame)
    ]
    native = _native_threads(len(frames))
    if native and not lost:
        _fork_for_nothing()
        native = _native_threads(len(frames))
    return (*lost, *["native"] * native)


def _native_threads(known: int) -> int:
    try:
        return max(0, len(os.listdir("/proc/self/task")) - known)
    except OSError:
        return 0


def _fork_for_nothing() -> None:
    """Libraries that are ready for a fork end their threads before it: numpy's OpenBLAS does, and begins anew later."""
    child = fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _is_known(name: str, frame: Any) -> bool:
    if name.startswith("fluxrun"):
        return True
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in _KNOWN_THREADS:
            return True
        frame = frame.f_back
    return False


# -- in the zygote ---------------------------------------------------------------------------------------------------


def _be_zygote(connection: _socket.socket, work: Work, prepare: Callable[[], object], keep: frozenset[int]) -> NoReturn:
    """Never return into the code that forked: no atexit, no destructors of shared objects, no end of a session."""
    try:
        detach()
        prepare()
        put(connection, {"ready": True})
        _serve(connection, work, keep)
    except BaseException as error:  # whatever `prepare` raises is the answer, and nothing may escape a fork
        with contextlib.suppress(OSError):
            put(connection, {"error": f"the zygote failed: {type(error).__name__}: {error}"})
    finally:
        os._exit(0)


def _serve(connection: _socket.socket, work: Work, keep: frozenset[int]) -> None:
    while (asked := get(connection)) is not None:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as dump:
            reader, writer = os.pipe()
            pid = fork()
            if pid == 0:
                os.close(reader)
                connection.close()
                _be_child(asked, work, writer, dump, keep)
            os.close(writer)
            answer = _watch(pid, reader, asked["deadline_s"])
            if "error" in answer:
                dump.seek(0)
                answer.setdefault("stacks", dump.read(_STACKS))
        put(connection, answer)


def _watch(pid: int, reader: int, deadline_s: float) -> dict[str, Any]:
    """The child's answer, or how it ended."""
    received = b""
    end = time.monotonic() + deadline_s + _GRACE_S
    while True:
        if not select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
            os.kill(pid, signal.SIGKILL)
            break
        part = os.read(reader, 1 << 16)
        if not part:
            break
        received += part
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    try:
        answer: dict[str, Any] = json.loads(received)
    except ValueError:
        code = os.waitstatus_to_exitcode(status)
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        return {"error": f"the clean process {ended} before it had answered"}
    return answer


def _be_child(asked: dict[str, Any], work: Work, writer: int, dump: IO[str], keep: frozenset[int]) -> NoReturn:
    """Do the work once. A C thread of faulthandler ends what hangs, also where the GIL is held."""
    die_with_parent()
    faulthandler.dump_traceback_later(asked["deadline_s"], exit=True, file=dump)
    try:
        sever(keep)
        answer = json.dumps({"ok": work(asked["request"])})
    except BaseException as error:  # whatever the work raises is the answer, and nothing may escape a fork
        answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
    try:
        rest = answer.encode()
        while rest:
            rest = rest[os.write(writer, rest) :]
    finally:
        os._exit(0)
