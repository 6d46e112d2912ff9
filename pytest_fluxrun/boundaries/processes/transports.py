"""A process as asyncio's transports and protocols see it: teed while it is recorded, played at replay.

What a process said is kept as events in order: `[offset_ns, after, what, descriptor, data]`, `after` being how often it
had been told something before: a piece of input, the end of its input, a signal.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.processes.asked import Child, ProcessLibrary
from pytest_fluxrun.context import Lane, crossing, entered
from pytest_fluxrun.values import dump_error, load_error

__all__ = ["PlayedTransport", "TeedProtocol", "TeedTransport"]

_TERM, _KILL = 15, 9
_LONGEST_WAIT_S: Final = 60.0
"""How long, in virtual time, an event is held back for what came before it at recording and may not come now."""


class _Told:
    """What a process is told, in both directions: counted, and a crossing each.

    Attributes:
        over: it has ended and been read to its end; nobody is told any more.
        changed: called with each count.
    """

    def __init__(self, library: ProcessLibrary, child: Child) -> None:
        self.library = library
        self.child = child
        self.count = 0
        self.over = False
        self.changed: Callable[[], object] = lambda: None

    def tell(self, command: str, live: Callable[[], Any], **more: Any) -> None:
        """Cross, live or not; nothing is made known of a run that is over."""
        session = crossing()

        def made() -> dict[str, Any]:
            live()
            return {}

        if session is None or self.over or (session.closed and not session.answers):
            made()
        else:
            session.call(self.library, self.child.call(command, **more), made)
        self.note()

    def note(self) -> None:
        """One more."""
        self.count += 1
        self.changed()


# -- recording -------------------------------------------------------------------------------------------------------


class TeedProtocol(asyncio.SubprocessProtocol):
    """Stands before the app's protocol, which goes on in the lane that started the process.

    Attributes:
        protocol: the app's.
        transport: what the app gets for its transport.
        events: what came so far.
    """

    def __init__(self, protocol: Any, session: Any, lane: Lane | None, library: ProcessLibrary, child: Child) -> None:
        self.protocol = protocol
        self.transport: TeedTransport | None = None
        self.events: list[list[Any]] = []
        self._session = session
        self._lane = lane
        self._told = _Told(library, child)
        self._began_ns = ambient.monotonic_ns()

    def connection_made(self, transport: Any) -> None:
        """The process runs."""
        self.transport = TeedTransport(transport, self._told)
        with entered(self._lane):
            self.protocol.connection_made(self.transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It said something."""
        self._note("data", fd, data)
        with entered(self._lane):
            self.protocol.pipe_data_received(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """One of its pipes is at an end."""
        self._note("lost", fd, None if exc is None else dump_error(exc))
        with entered(self._lane):
            self.protocol.pipe_connection_lost(fd, exc)

    def process_exited(self) -> None:
        """It ended."""
        assert self.transport is not None
        self._note("exit", -1, self.transport.get_returncode())
        with entered(self._lane):
            self.protocol.process_exited()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, and all that it said was read."""
        self._note("end", -1, None)
        self._told.over = True
        with entered(self._lane):
            self.protocol.connection_lost(exc)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.protocol, name)

    def _note(self, what: str, fd: int, data: Any) -> None:
        if not self._session.closed:
            self.events.append([ambient.monotonic_ns() - self._began_ns, self._told.count, what, fd, data])


class TeedTransport:
    """A live transport whose input and signals cross."""

    def __init__(self, live: Any, told: _Told) -> None:
        self._live = live
        self._told = told
        self._stdin: _TeedPipe | None = None

    def get_pipe_transport(self, fd: int) -> Any:
        """The live one; of the input a teed one."""
        pipe = self._live.get_pipe_transport(fd)
        if fd != 0 or pipe is None:
            return pipe
        if self._stdin is None:
            self._stdin = _TeedPipe(pipe, self._told)
        return self._stdin

    def send_signal(self, signal: int) -> None:
        """Send it."""
        self._told.tell("signal", lambda: self._live.send_signal(signal), signal=int(signal))

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._told.tell("signal", self._live.terminate, signal=_TERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._told.tell("signal", self._live.kill, signal=_KILL)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)

    def __repr__(self) -> str:
        return repr(self._live)


class _TeedPipe:
    """The live transport of a process's input."""

    def __init__(self, live: Any, told: _Told) -> None:
        self._live = live
        self._told = told

    def write(self, data: Any) -> None:
        """Tell the process."""
        given = bytes(data)
        self._told.tell("input", lambda: self._live.write(given), data=given)

    def writelines(self, pieces: Any) -> None:
        """Tell it at once."""
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        """No more input."""
        self._told.note()
        self._live.write_eof()

    def close(self) -> None:
        """No more input."""
        self._told.note()
        self._live.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)


# -- replay ----------------------------------------------------------------------------------------------------------


class PlayedTransport(asyncio.SubprocessTransport):
    """No process: its events come on the loop's clock, each after what came before it at recording.

    Args:
        told: the boundary, and the process's name in the recording.
        pipes: descriptors of those that the app asked for.
    """

    def __init__(
        self, loop: Any, protocol: Any, told: tuple[ProcessLibrary, Child], answer: dict[str, Any], pipes: set[int]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._pid: int = answer["pid"]
        self._events: list[Any] = answer["events"]
        self._told = _Told(*told)
        self._told.changed = functools.partial(loop.call_soon, self._play)
        self._pipes = {fd: _PlayedPipe(self._told) for fd in pipes}
        self._returncode: int | None = None
        self._waiters: list[asyncio.Future[int | None]] = []
        self._next = 0
        self._closing = False
        self._began_s = loop.time()
        self._limit_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Tell the protocol of the process, then play."""
        self._protocol.connection_made(self)
        self._loop.call_soon(self._play)

    def get_pid(self) -> int:
        """The recorded one."""
        return self._pid

    def get_returncode(self) -> int | None:
        """None until the process has ended."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        """One that leads nowhere."""
        return self._pipes.get(fd)

    def send_signal(self, signal: int) -> None:
        """Send it, unless the process has ended."""
        self._told.tell("signal", self._check_process, signal=int(signal))

    def _check_process(self) -> None:
        if self._told.over:
            raise ProcessLookupError

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(_TERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(_KILL)

    def is_closing(self) -> bool:
        """Whether the app has given it up."""
        return self._closing

    def close(self) -> None:
        """The app gives it up."""
        self._closing = True
        for pipe in self._pipes.values():
            pipe.closing = True

    def set_protocol(self, protocol: Any) -> None:
        """As asyncio's."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """As asyncio's."""
        return self._protocol

    async def _wait(self) -> int | None:
        """What asyncio's Process waits for."""
        if self._told.over:
            return self._returncode
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        found: int | None = await waiter
        return found

    def _play(self) -> None:
        """Give out the events whose time has come, and come again for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._next < len(self._events):
            offset_ns, after, what, fd, data = self._events[self._next]
            due_s = self._began_s + offset_ns * 1e-9
            if self._told.count < after:
                self._limit_s = self._limit_s or self._loop.time() + _LONGEST_WAIT_S
                due_s = self._limit_s
            if self._loop.time() < due_s:
                self._timer = self._loop.call_at(due_s, self._play)
                return
            self._next += 1
            self._limit_s = None
            self._give(what, fd, data)

    def _give(self, what: str, fd: int, data: Any) -> None:
        if what == "data":
            self._protocol.pipe_data_received(fd, data)
        elif what == "lost":
            if fd in self._pipes:
                self._pipes[fd].closing = True
            self._protocol.pipe_connection_lost(fd, None if data is None else load_error(data))
        elif what == "exit":
            self._returncode = data
            self._protocol.process_exited()
        else:
            self._told.over = True
            self._protocol.connection_lost(None)
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(self._returncode)


class _PlayedPipe(asyncio.Transport):
    """One of a played process's pipes: input is told, and there is nothing to pause or resume."""

    def __init__(self, told: _Told) -> None:
        super().__init__()
        self._told = told
        self.closing = False

    def write(self, data: Any) -> None:
        """Tell the process."""
        self._told.tell("input", lambda: None, data=bytes(data))

    def can_write_eof(self) -> bool:
        """As a pipe's."""
        return True

    def write_eof(self) -> None:
        """No more input."""
        self.close()

    def is_closing(self) -> bool:
        """Whether it is at an end."""
        return self.closing

    def close(self) -> None:
        """No more of it."""
        self.closing = True
        self._told.note()

    abort = close

    def pause_reading(self) -> None:
        """What comes was recorded at its own pace."""

    resume_reading = pause_reading
