"""The server's side of a recorded WSGI request: gives an application what it was given, and takes as much."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

from pytest_fluxrun.context import current_lane
from pytest_fluxrun.entries.calling.within import within
from pytest_fluxrun.entries.web.bodies import size_of
from pytest_fluxrun.entries.web.environ import load_environ
from pytest_fluxrun.entries.web.input_stream import RecordedInput, body_length, wait_until
from pytest_fluxrun.entries.web.wsgi_answer import Answer, SentFile
from pytest_fluxrun.entry import Driving, noted
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.values import Value, decode, load_error

__all__ = ["drive_wsgi"]


def drive_wsgi(app: Any, recorded_input: Value, driving: Driving) -> Value:
    """Call an application as its server did and give the outcome in the form that recording gives."""
    server = _Server(decode(recorded_input), driving)
    return driving.call(lambda: server.serve(app), interruption=server.gave_up)


class _Server:
    """The server's side of one recorded request."""

    def __init__(self, recorded: dict[str, Any], driving: Driving) -> None:
        self.environ = load_environ(recorded["scope"], recorded["environ"])
        stated = size_of(self.environ.get("CONTENT_LENGTH", ""))
        if stated is not None and (length := body_length(recorded["events"])) is not None:
            self.environ["CONTENT_LENGTH"] = str(length)
        self.environ["wsgi.input"] = RecordedInput(
            recorded["events"], lambda: driving.lacks("more of the request's body than the run holds")
        )
        self.environ["wsgi.errors"] = sys.stderr
        if recorded["environ"]["wsgi.file_wrapper"]:
            self.environ["wsgi.file_wrapper"] = FileWrapper
        self.answer = Answer(recorded["scope"]["method"])
        self._refused = {(call, number): error for call, number, error in recorded["refused"]}
        self._closed_after = recorded["closed_after"]
        self._gaps = dict(recorded["gaps"])
        gave_up = recorded["gave_up"]
        self.gave_up = None if gave_up is None else (gave_up[0], load_error(gave_up[1]))

    def serve(self, app: Any) -> Value:
        """The whole exchange, in the run's lane."""
        error: BaseException | None = None
        try:
            self._deliver(within(app, self.environ, self._start_response))
        except (DeadlineExceeded, KeyboardInterrupt):
            raise
        except BaseException as raised:  # the outcome of the run, whatever it is
            error = raised
        return self.answer.outcome(self.answer.error(error, noted(current_lane()).error))

    def _deliver(self, result: Any) -> None:
        answer = self.answer
        try:
            if isinstance(result, FileWrapper) and (file := SentFile.beneath(result)) is not None:
                answer.file = file
                answer.exhausted = True
            else:
                self._pull(within(iter, result))
        finally:
            if hasattr(result, "close"):
                result.close()

    def _pull(self, chunks: Iterator[Any]) -> None:
        answer = self.answer
        while self._closed_after is None or answer.pulled < self._closed_after:
            wait_until(self._gaps.get(answer.pulled, 0))
            try:
                chunk = within(next, chunks)
            except StopIteration:
                answer.exhausted = True
                return
            answer.pulled += 1
            answer.sent(chunk)
        answer.closed_early = True

    def _start_response(self, status: Any, headers: Any, exc_info: Any = None) -> Callable[[bytes], Any]:
        answer = self.answer
        begun, already = answer.begun, answer.starts > 0
        answer.start(status, headers, exc_info)
        if exc_info and begun:
            raise exc_info[1].with_traceback(exc_info[2])
        self._refuse("start_response", answer.starts)
        if already and not exc_info:
            raise AssertionError("Headers already set!")
        return self._write

    def _write(self, data: bytes) -> None:
        self.answer.writes += 1
        self.answer.sent(data)
        self._refuse("write", self.answer.writes)

    def _refuse(self, call: str, number: int) -> None:
        """Raise what the recorded server raised here."""
        recorded = self._refused.get((call, number))
        if recorded is None:
            return
        error = load_error(recorded)
        self.answer.refused.append((call, number, error))
        raise error
