"""The HTTP exchange of ASGI: request body in parts, response start, body and extension messages."""

from __future__ import annotations

from typing import Any, ClassVar

from pytest_fluxrun.entries.web.asgi_exchange import NOMINAL_BYTES, Exchange, Message
from pytest_fluxrun.entries.web.bodies import text_or_bytes, to_bytes
from pytest_fluxrun.values import Value, encode_or_opaque

__all__ = ["HttpExchange"]

_FIRST_SERVER_ERROR = 500


class HttpExchange(Exchange):
    """One request and its response. Rows of `events` hold the body and whether more is to come."""

    kind: ClassVar[str] = "http"
    also_asked: ClassVar[tuple[str, ...]] = ("method",)
    parts_unanswered: ClassVar[bool] = False

    def received(self, message: Message, offset_ns: int) -> None:
        """Keep a part of the body, or that the client went away."""
        if message["type"] == "http.disconnect":
            if self.answered:
                return  # any app that listens after its answer is told so, also at replay
            self.disconnected = True
            self.leaves()
        body = bytes(message.get("body", b""))
        more = bool(message.get("more_body", False))
        self.arrived(offset_ns, message["type"], body, more, size_bytes=len(body))

    def sent(self, message: Message, offset_ns: int) -> None:
        """Keep the response's start, a part of its body, or an extension's message."""
        if not self.counts(offset_ns):
            return
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        elif kind == "http.response.body":
            body = bytes(message.get("body", b""))
            if self.keep_more(len(body)):
                self.body.append(body)
            self.answered = not message.get("more_body", False)
        elif self.keep_more(NOMINAL_BYTES):
            self.others.append(message)
            self.answered = self.answered or kind == "http.response.pathsend"

    @property
    def cut_short(self) -> bool:
        """The response isn't complete."""
        return not self.answered

    def may_hide_an_error(self) -> bool:
        """A 5xx."""
        return (self.status or 0) >= _FIRST_SERVER_ERROR

    def parting(self) -> Message:
        """The client is gone."""
        return {"type": "http.disconnect"}

    def response(self) -> dict[str, Value] | None:
        """Status, headers, body; the other messages as they were."""
        if self.status is None:
            return None
        answer = self._answer(complete=self.answered)
        if self.others:
            answer["messages"] = [encode_or_opaque(dict(message)) for message in self.others]
        return answer

    @staticmethod
    def stored(event: tuple[Any, ...]) -> list[Any]:
        """With the body as text where it is."""
        offset_ns, kind, body, *rest = event
        return [offset_ns, kind, text_or_bytes(body), *rest]

    @staticmethod
    def message(row: list[Any]) -> Message:
        """A part of the body, or the disconnect."""
        _, kind, body, more, *_ = row
        if kind != "http.request":
            return {"type": kind}
        return {"type": kind, "body": to_bytes(body), "more_body": more}
