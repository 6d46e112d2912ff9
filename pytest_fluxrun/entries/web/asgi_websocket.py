"""The websocket exchange of ASGI: messages both ways, accept or refusal, and how it was closed by whom."""

from __future__ import annotations

from typing import Any, ClassVar

from pytest_fluxrun.entries.web.asgi_exchange import NOMINAL_BYTES, Exchange, Message
from pytest_fluxrun.values import Value, encode_or_opaque

__all__ = ["WebsocketExchange"]

_SWITCHING = 101
_FORBIDDEN = 403
_INTERNAL_ERROR = 500
_FAILURE_CODES = frozenset({1002, 1003, 1007, 1009, 1010, 1011, 1014})
"""RFC 6455 7.4.1 and the IANA registry: what an end closes with that can't go on."""
_ORDERLY = frozenset({1000, 1001, 1005, 1012})
"""Closed, left, closed without a code, and the server's restart: the usual ends of a websocket.

uvicorn 0.54 says 1005 of a connection that broke, too.
"""
_HTTP_CODES = range(4400, 4600)
"""Frameworks close with 4000 plus the HTTP status that the error would have given."""


class WebsocketExchange(Exchange):
    """One websocket. Rows of `events` hold the text, the bytes or the close code, and the reason.

    The status is 101 once accepted; 403, or that of the denial response, where it was refused; and what the app closed
    it with where that says an error: 1011 counts as 500, 4400 to 4599 as 400 to 599.
    """

    kind: ClassVar[str] = "websocket"
    also_asked: ClassVar[tuple[str, ...]] = ("subprotocols",)
    parts_unanswered: ClassVar[bool] = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gone = False

    def received(self, message: Message, offset_ns: int) -> None:
        """Keep a message of the client, or that and how it has closed."""
        kind = message["type"]
        payload, reason = message.get("text"), ""
        if payload is None and message.get("bytes") is not None:
            payload = bytes(message["bytes"])
        if kind == "websocket.disconnect":
            if self.answered:
                return  # an app that listens after its close is told so, also at replay
            self.gone = True
            self.leaves()
            payload, reason = (
                int(message.get("code") or 1005),
                message.get("reason") or "",
            )  # older uvicorns give an enum
            self.disconnected = payload not in _ORDERLY
        size = len(payload) if isinstance(payload, str | bytes) else 0
        self.arrived(offset_ns, kind, payload, reason, size_bytes=size + NOMINAL_BYTES)

    def sent(self, message: Message, offset_ns: int) -> None:
        """Keep the acceptance, a message, the close, or a part of the denial response."""
        if not self.counts(offset_ns):
            return
        kind = message["type"]
        if kind == "websocket.accept":
            self.status = _SWITCHING
            self.headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            if message.get("subprotocol"):
                self.headers.append((b"sec-websocket-protocol", message["subprotocol"].encode("latin-1")))
        elif kind == "websocket.close":
            self.status = _status_of(message.get("code", 1000), accepted=self.status is not None)
            self.answered = True
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        elif kind == "websocket.http.response.body":
            body = bytes(message.get("body", b""))
            if self.keep_more(len(body)):
                self.body.append(body)
            self.answered = not message.get("more_body", False)
        if kind in {"websocket.send", "websocket.close"} and self.keep_more(_size(message)):
            self.others.append(message)

    @property
    def cut_short(self) -> bool:
        """The app has left without a close, and the client hadn't gone."""
        return not (self.answered or self.gone)

    def may_hide_an_error(self) -> bool:
        """Any: some close with 1000 after an error."""
        return True

    def parting(self) -> Message:
        """The server goes away."""
        return {"type": "websocket.disconnect", "code": 1006 if self.answered else 1001, "reason": ""}

    def response(self) -> dict[str, Value] | None:
        """The status, headers and body of the handshake; what the app sent then, in order."""
        if self.status is None:
            return None
        answer = self._answer(complete=not self.cut_short)
        answer["messages"] = [encode_or_opaque(_plain(message)) for message in self.others]
        return answer

    @staticmethod
    def stored(event: tuple[Any, ...]) -> list[Any]:
        """As it is."""
        return list(event)

    @staticmethod
    def message(row: list[Any]) -> Message:
        """What the client sent, or how it has closed."""
        _, kind, payload, reason, *_ = row
        if kind == "websocket.disconnect":
            return {"type": kind, "code": payload, "reason": reason}
        if kind == "websocket.receive":
            return {"type": kind, "text" if isinstance(payload, str) else "bytes": payload}
        return {"type": kind}


def _status_of(code: int, *, accepted: bool) -> int:
    """A close as an HTTP status, for the index and for who judges a failure."""
    if not accepted:
        return _FORBIDDEN
    if code in _HTTP_CODES:
        return code - 4000
    return _INTERNAL_ERROR if code in _FAILURE_CODES else _SWITCHING


def _size(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or "") + NOMINAL_BYTES


def _plain(message: Message) -> dict[str, Any]:
    """A sent message without its type and what it leaves empty."""
    if message["type"] == "websocket.close":
        return {"close": message.get("code", 1000), "reason": message.get("reason") or ""}
    text = message.get("text")
    return {"text": text} if text is not None else {"bytes": bytes(message.get("bytes") or b"")}
