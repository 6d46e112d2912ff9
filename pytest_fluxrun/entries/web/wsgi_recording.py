"""One WSGI request on its way through an application: input, `start_response` and iterable, teed. PEP 3333.

The server gets what it would have got: the same object where it is a list or a file, else one that looks the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.context import LANE, entered
from pytest_fluxrun.entries.calling.within import within
from pytest_fluxrun.entries.web.bodies import size_of
from pytest_fluxrun.entries.web.environ import dump_environ, headers_in, taken
from pytest_fluxrun.entries.web.input_stream import KeptInput, TeedInput
from pytest_fluxrun.entries.web.wsgi_answer import Answer, SentFile
from pytest_fluxrun.entry import Ending, OpenRun, noted
from pytest_fluxrun.places import is_server
from pytest_fluxrun.trace import active_span, trace_of
from pytest_fluxrun.values import Value, dump_error, encode_or_opaque

__all__ = ["record_wsgi"]

_GAP_BYTES = 128
_LONG_NS = 1_000_000
"""Gaps from this on between two parts of an answer are kept: the server was slow, and the app may have noticed."""


def record_wsgi(app: Any, environ: dict[str, Any], start_response: Any, run: OpenRun) -> Any:
    """Call an application in a run of its own and give the server what it gave, teed.

    The run ends when the iterable is closed, or with the call where nothing of the application is left to do then.
    """
    recording = _Recording(environ, run)
    try:
        with entered(run.lane):
            result = within(app, environ, functools.partial(recording.start_response, start_response))
    except BaseException as error:
        recording.finish(error)
        raise
    return recording.delivered(result)


class _Recording:
    """One request on its way through an application, as the server and the application see it."""

    def __init__(self, environ: dict[str, Any], run: OpenRun) -> None:
        self.run = run
        self.started_ns = ambient.monotonic_ns()
        self.asked = taken(environ)
        self.answer = Answer(self.asked.get("REQUEST_METHOD", ""), run.weigh)
        self.input = KeptInput(run.weigh, self.started_ns, size_of(self.asked.get("CONTENT_LENGTH", "")))
        self.gaps: list[list[int]] = []
        self.raised: BaseException | None = None
        self.gave_up: tuple[int, BaseException] | None = None
        self.finished = False
        self.span: Any = None
        self._gave_ns = self.started_ns
        self._environ: Any = environ
        self._file_wrapper: Any = environ.get("wsgi.file_wrapper")
        self._stream: Any = environ.get("wsgi.input")
        self._wrapped: tuple[Any, Any] | None = None
        if self._file_wrapper is not None and not isinstance(self._file_wrapper, type):
            environ["wsgi.file_wrapper"] = self._wrap_file  # a function: nobody asks whether an object is of it
        self._teed: Any = None if self._stream is None else TeedInput(self._stream, self.input)
        if self._teed is not None:
            environ["wsgi.input"] = self._teed

    def start_response(
        self, start_response: Any, status: Any, headers: Any, exc_info: Any = None
    ) -> Callable[[bytes], Any]:
        """The server's, teed. What it raises is the server's answer to the app, and comes again at replay."""
        answer = self.answer
        answer.start(status, headers, exc_info)
        self.span = self.span or active_span()
        more = () if exc_info is None else (exc_info,)
        try:
            write = start_response(status, headers, *more)
        except BaseException as error:
            answer.refused.append(("start_response", answer.starts, error))
            raise
        return functools.partial(self._write, write)

    def _write(self, write: Callable[[bytes], Any], data: bytes) -> Any:
        answer = self.answer
        answer.writes += 1
        answer.sent(data)
        try:
            return write(data)
        except BaseException as error:
            answer.refused.append(("write", answer.writes, error))
            raise

    def delivered(self, result: Any) -> Any:
        """What to give the server for the application's iterable: the very object where it is a list or a file."""
        answer = self.answer
        if type(result) in (list, tuple):
            for chunk in result:
                answer.sent(chunk)
            answer.exhausted = True
            self.finish(None)
            return result
        if self._is_wrapped(result) and self._sends(result):
            return result
        self._gave_ns = ambient.monotonic_ns()
        return (_SizedBody if hasattr(type(result), "__len__") else _Body)(self, result)

    def _wrap_file(self, file: Any, *block: Any) -> Any:
        """The server's function, which may give an object of C that doesn't show the file (uWSGI)."""
        wrapped = self._file_wrapper(file, *block)
        self._wrapped = (wrapped, file)
        return wrapped

    def _is_wrapped(self, result: Any) -> bool:
        if self._wrapped is not None:
            return result is self._wrapped[0]
        return isinstance(self._file_wrapper, type) and isinstance(result, self._file_wrapper)

    def _sends(self, wrapper: Any) -> bool:
        """Leave a file to the server, which may know a faster way than reading it; the run ends when it is closed."""
        file = SentFile.beneath(wrapper) if self._wrapped is None else SentFile.of(self._wrapped[1])
        if file is None:
            return False
        self.answer.file = file
        self.answer.exhausted = True
        self.run.weigh(file.size_bytes)
        try:
            wrapper.close = functools.partial(self.close, getattr(wrapper, "close", None))
        except (AttributeError, TypeError):  # an object in C: the application has no part in its closing
            self.finish(None)
        return True

    def close(self, close: Callable[[], Any] | None) -> None:
        """The server is done with the answer, or the client is gone."""
        self.abandon()
        try:
            if close is not None:
                with entered(self.run.lane):
                    close()
        except BaseException as error:
            self.raised = error
            raise
        finally:
            self.finish(self.raised)

    def abandon(self) -> None:
        """The server asks for no more, whether or not there is more."""
        if not self.finished:
            self.answer.closed_early = not self.answer.exhausted and self.raised is None

    def pulling(self) -> None:
        """The server asks for the next chunk."""
        now_ns = ambient.monotonic_ns()
        if now_ns - self._gave_ns >= _LONG_NS and self.run.weigh(_GAP_BYTES):
            self.gaps.append([self.answer.pulled, now_ns - self.started_ns])

    def gave(self, chunk: Any) -> None:
        """The application gave a chunk."""
        self.answer.pulled += 1
        self.answer.sent(chunk)
        self._gave_ns = ambient.monotonic_ns()

    def finish(self, error: BaseException | None) -> None:
        """End the run, once."""
        if self.finished:
            return
        self.finished = True
        self.input.close()
        if self._teed is not None and self._environ.get("wsgi.input") is self._teed:
            self._environ["wsgi.input"] = self._stream
        if self._environ.get("wsgi.file_wrapper") == self._wrap_file:
            self._environ["wsgi.file_wrapper"] = self._file_wrapper
        self._environ = self._stream = self._teed = self._file_wrapper = self._wrapped = None  # the server's
        answer, told = self.answer, noted(self.run.lane)
        if error is not None and _is_the_servers(error):
            self.gave_up = ambient.monotonic_ns() - self.started_ns, error
        error = answer.error(error, told.error)
        self.run.finish(
            Ending(
                dump=lambda: (self.dump_input(), answer.outcome(error)),
                status=answer.status,
                error=error,
                disconnected=answer.disconnected,
                cut_short=not answer.complete,
                timed_out=self.gave_up is not None or isinstance(error, TimeoutError),
                route=f"{self.asked.get('REQUEST_METHOD', '')} {told.route}" if told.route else "",
                trace=lambda: trace_of(headers_in(self.asked), self.span),
            )
        )

    def dump_input(self) -> Value:
        """The request, and what the server did while it was answered."""
        scope, environ = dump_environ(self.asked)
        refused = [[call, number, dump_error(error)] for call, number, error in self.answer.refused]
        recorded: dict[str, Any] = {
            "scope": scope,
            "environ": environ,
            "events": self.input.events(),
            "refused": refused,
            "closed_after": self.answer.pulled if self.answer.closed_early else None,
            "gaps": self.gaps,
            "gave_up": None if self.gave_up is None else [self.gave_up[0], dump_error(self.gave_up[1])],
        }
        if self.input.damaged:
            recorded["damaged"] = object()
        return encode_or_opaque(recorded)


def _is_the_servers(error: BaseException) -> bool:
    """Whether a server raised it into the application, in a signal handler: it gave up on the request (gunicorn)."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return not isinstance(error, Exception) and trace is not None and is_server(trace.tb_frame.f_code.co_filename)


class _Body:
    """The application's iterable as the server gets it: each step runs in the lane of its run."""

    def __init__(self, recording: _Recording, result: Any) -> None:
        self._recording = recording
        self._result = result
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> _Body:
        self._iterator = self._step(iter, self._result)
        return self

    def __next__(self) -> Any:
        recording = self._recording
        if self._iterator is None:
            self._iterator = self._step(iter, self._result)
        recording.pulling()
        try:
            chunk = self._step(next, self._iterator)
        except StopIteration:
            recording.answer.exhausted = True
            if not hasattr(self._result, "close"):
                recording.finish(None)
            raise
        recording.gave(chunk)
        return chunk

    def close(self) -> None:
        """As PEP 3333: at the end of the request, however it ended."""
        self._recording.close(getattr(self._result, "close", None))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)

    def __del__(self) -> None:
        """For a server or middleware that never closes what it got."""
        self._recording.abandon()
        self._recording.finish(self._recording.raised)

    def _step(self, function: Callable[[Any], Any], argument: Any) -> Any:
        token = LANE.set(self._recording.run.lane)
        try:
            return within(function, argument)
        except StopIteration:
            raise
        except BaseException as error:
            self._recording.raised = error
            raise
        finally:
            LANE.reset(token)


class _SizedBody(_Body):
    """One whose length is known: servers make a Content-Length of it where it is 1."""

    def __len__(self) -> int:
        return len(self._result)
