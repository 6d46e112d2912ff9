"""subprocess: a start is an effect, and what the process is told and says crosses after it; at replay none is started.

Beneath `communicate`, `wait` and `send_signal` nothing crosses again. `run`, `check_output`, `os.popen` and all else in
the standard library that starts a program for its output goes through `Popen`. Output that goes to a file of the app's
is refused by name, as is a pipe's descriptor.
"""

from __future__ import annotations

import functools
import inspect
import io
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.processes.asked import Child, ProcessLibrary, next_number, start_of
from pytest_fluxrun.boundaries.processes.pipes import DESCRIPTORS, Pipe, over, passes_pipes_by
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.values import Value

__all__ = ["Subprocess", "boundary"]

_CHILD: Final = "_fluxrun_child"
_PIPE: Final = -1


class Subprocess(ProcessLibrary):
    """`Popen`, and all that is made of it."""

    name: ClassVar[str] = "subprocess"
    modules: ClassVar[tuple[str, ...]] = ("subprocess",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """The start, and what a process is asked afterwards; its pipes are replaced by pipes that cross.

        gevent puts a class of its own in Popen's place, with pipes of its own: it is left alone, and isn't seen.
        """
        if module.Popen.__module__ != "subprocess":
            return
        yield Patch(module.Popen, "__init__", _init)
        yield Patch(module.Popen, "communicate", _communicate)
        yield Patch(module.Popen, "wait", _wait)
        yield Patch(module.Popen, "poll", _poll)
        yield Patch(module.Popen, "send_signal", _send_signal)

    def load_error(self, value: Value, call: Call) -> BaseException:
        """What `dump_error` saw; a time-out names the command as it was called here."""
        error = super().load_error(value, call)
        command = getattr(call, "command", None)
        if command is not None and hasattr(error, "cmd"):
            vars(error)["cmd"], error.args = command, (command, *error.args[1:])
        return error


class _Asked(Call):
    """A call of a process, with the command that its errors name."""

    __slots__ = ("command",)

    def __init__(self, request: Mapping[str, Any], command: Any) -> None:
        super().__init__(request)
        self.command = command


# -- the start -------------------------------------------------------------------------------------------------------


def _init(original: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        session = crossing()
        if session is None:
            return original(self, *args, **kwargs)
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError:
            return original(self, *args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        _refuse_descriptors(session, given)
        number = next_number()

        def live() -> dict[str, Any]:
            original(self, *args, **kwargs)
            return {"pid": self.pid, "process": number}

        request = _request(session, given)
        answer = session.call(boundary, Call(request), live)
        if session.closed:
            return None
        child = Child(answer["process"], request["program"])
        if session.answers:
            _play(self, given, answer["pid"])
        _lay_pipes(self, given, child, played=session.answers)
        vars(self)[_CHILD] = child
        return None

    return init


def _request(session: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The start as the kind has it."""
    return start_of(
        session,
        given["args"],
        shell=bool(given["shell"]),
        cwd=given["cwd"],
        env=given["env"],
        executable=given["executable"],
    )


def _refuse_descriptors(session: Any, given: Mapping[str, Any]) -> None:
    """Outputs that go where no pipe tees them, and further descriptors."""
    if not (session.closed or session.preamble) and passes_pipes_by(given):  # start-up makes no run unready
        session.uncovered(DESCRIPTORS)


def _play(self: Any, given: Mapping[str, Any], pid: int) -> None:
    """What `Popen.__init__` leaves behind (CPython 3.11 to 3.14), with no process."""
    self._waitpid_lock = threading.Lock()
    self._input = None
    self._communication_started = False
    self._sigint_wait_secs = 0.25
    self._closed_child_pipe_fds = True
    self.args = given["args"]
    self.stdin = self.stdout = self.stderr = None
    self.pid = pid
    self.returncode = None
    self.encoding, self.errors = given["encoding"], given["errors"]
    self.pipesize = given.get("pipesize", -1)
    self.text_mode = given["encoding"] or given["errors"] or given["text"] or given["universal_newlines"]
    if self.text_mode and self.encoding is None:
        self.encoding = "utf-8" if sys.flags.utf8_mode else _locale_encoding()


def _locale_encoding() -> str:
    with io.TextIOWrapper(io.BytesIO(), encoding="locale") as text:
        return text.encoding


def _lay_pipes(self: Any, given: Mapping[str, Any], child: Child, *, played: bool) -> None:
    bufsize = -1 if given["bufsize"] is None else given["bufsize"]
    for name, mode in (("stdin", "wb"), ("stdout", "rb"), ("stderr", "rb")):
        live = getattr(self, name)
        if given[name] != _PIPE or (live is None and not played):
            continue
        pipe = Pipe(boundary, child, name, _bare(live), mode)
        setattr(self, name, over(pipe, bufsize, _text(self, name, line_buffered=bufsize == 1)))


def _text(self: Any, name: str, *, line_buffered: bool) -> dict[str, Any] | None:
    if not self.text_mode:
        return None
    text = {"encoding": self.encoding or _locale_encoding(), "errors": self.errors}
    return {**text, "write_through": True, "line_buffering": line_buffered} if name == "stdin" else text


def _bare(live: Any) -> Any:
    """The raw file beneath what subprocess has laid over it."""
    while live is not None and hasattr(live, "detach"):
        live = live.detach()
    return live


# -- what a process is asked -----------------------------------------------------------------------------------------


def _session_of(self: Any) -> Any:
    """The session that must see what this process is asked, or None."""
    if _CHILD not in vars(self):
        return None
    session = crossing()
    if session is None or (session.closed and not session.answers):
        return None
    return session


def _played(self: Any) -> bool:
    """Whether there never was a live process."""
    return _CHILD in vars(self) and not self._child_created


def _asked(self: Any, command: str, **more: Any) -> _Asked:
    return _Asked(vars(self)[_CHILD].call(command, **more).form(), self.args)


def _communicate(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def communicate(self: Any, input: Any = None, timeout: Any = None) -> Any:  # noqa: A002 - as subprocess has it
        session = _session_of(self)
        if session is None:
            return (None, None) if _played(self) else original(self, input, timeout)
        if self._communication_started and input:
            raise ValueError("Cannot send input after starting communication")

        def live() -> dict[str, Any]:
            stdout, stderr = original(self, input, timeout)
            return {"stdout": stdout, "stderr": stderr, "returncode": self.returncode}

        told = {"input": bytes(input) if isinstance(input, bytearray | memoryview) else input} if input else {}
        try:
            answer = session.call(boundary, _asked(self, "communicate", **told), live)
        finally:
            self._communication_started = True
        if session.answers:
            self.returncode = answer["returncode"]
            for pipe in filter(None, (self.stdin, self.stdout, self.stderr)):
                _bare_close(pipe)
        return answer["stdout"], answer["stderr"]

    return communicate


def _bare_close(pipe: Any) -> None:
    """Close a played pipe; what its buffers hold is of no account."""
    try:
        pipe.close()
    except OSError:
        return


def _wait(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wait(self: Any, timeout: Any = None) -> Any:
        session = _session_of(self) if self.returncode is None else None
        if session is None:
            return self.returncode if _played(self) else original(self, timeout)

        def live() -> dict[str, Any]:
            return {"returncode": original(self, timeout)}

        self.returncode = session.call(boundary, _asked(self, "wait"), live)["returncode"]
        return self.returncode

    return wait


def _poll(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def poll(self: Any) -> Any:
        session = _session_of(self) if self.returncode is None else None
        if session is None:
            return self.returncode if _played(self) else original(self)

        def live() -> dict[str, Any]:
            return {"returncode": original(self)}

        self.returncode = session.call(boundary, _asked(self, "poll"), live)["returncode"]
        return self.returncode

    return poll


def _send_signal(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def send_signal(self: Any, sig: Any) -> None:
        session = _session_of(self) if self.returncode is None else None
        if session is None:
            return None if _played(self) else original(self, sig)

        def live() -> dict[str, Any]:
            original(self, sig)
            return {"returncode": self.returncode}

        self.returncode = session.call(boundary, _asked(self, "signal", signal=int(sig)), live)["returncode"]
        return None

    return send_signal


boundary = Subprocess()
