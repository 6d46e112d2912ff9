"""The HTTP of a run, as any tool knows it: the request that came in, its answer, the requests that went out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pytest_fluxrun.errors import DamagedBundle, FluxRunError
from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import plain

__all__ = ["Answer", "Outgoing", "Request", "incoming", "outgoing", "response_of", "sent_header"]

_PATH = "/%:@!$&'()*+,;=~-._"
_PORTS = {"http": 80, "https": 443}

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `url` is absolute; header names as recorded; the body as sent."""

    method: str
    url: str
    headers: Headers
    body: bytes
    http_version: str = "1.1"

    def header(self, name: str) -> str:
        """The last value of a header, or ""."""
        return _header(self.headers, name)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `error` is how it broke off, as `Class: message`, or ""."""

    status: int
    headers: Headers
    body: bytes
    reason: str = ""
    http_version: str = "1.1"
    error: str = ""

    def header(self, name: str) -> str:
        """The last value of a header, or ""."""
        return _header(self.headers, name)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call over HTTP.

    Attributes:
        number: as in paths, from 1.
        answer: None where there was none.
        error: the error in place of an answer, as a dumped one, or None.
    """

    number: int
    interaction: Interaction
    request: Request
    answer: Answer | None
    error: Any = None

    @property
    def failed(self) -> str:
        """How the call ended without an answer, as `Class: message`, or ""."""
        return "" if self.answer is not None else _said(self.error)


def incoming(run: Run) -> Request:
    """The request that invoked a run.

    Raises:
        FluxRunError: something else did.
    """
    invoked = plain(run.input)
    scope = invoked.get("scope") if isinstance(invoked, dict) else None
    if not isinstance(scope, dict) or not scope.get("method"):
        what = "a websocket" if isinstance(scope, dict) else f"the {run.entry_kind} entry {run.entry!r}"
        raise FluxRunError(
            f"run {run.id} is no HTTP request",
            why=f"{what} invoked it",
            next_step=f"`fluxrun show {run.id[:10]} --values` shows what did; a function's run goes with --as pytest",
        )
    headers = _pairs(scope.get("headers", ()))
    pieces = (event[2] for event in invoked.get("events", ()) if event[1] == "http.request")
    return Request(
        method=scope["method"],
        url=f"{_origin(scope, headers)}{_target(scope)}",
        headers=headers,
        body=b"".join(map(_as_bytes, pieces)),
        http_version=str(scope.get("http_version") or "1.1"),
    )


def response_of(run: Run) -> Answer | None:
    """What the run answered; None where it answered nothing.

    Raises:
        DamagedBundle: its status is no number.
    """
    response = plain(run.outcome).get("response")
    if not response:
        return None
    error = "" if response.get("complete", True) else "the answer is cut short"
    return Answer(_status(response["status"]), _pairs(response["headers"]), _as_bytes(response["body"]), error=error)


def outgoing(run: Run) -> Iterator[Outgoing]:
    """The calls over HTTP that a run made, in order; none that only reads on in an answer.

    Raises:
        DamagedBundle: the status of an answer is no number.
    """
    for number, one in enumerate(run.recording.interactions, start=1):
        asked = plain(one.request)
        if one.kind != "http" or not isinstance(asked, dict) or "url" not in asked or "rest" in asked:
            continue
        request = Request(asked["method"], asked["url"], _pairs(asked["headers"]), _as_bytes(asked["body"]))
        yield Outgoing(number, one, request, _answer(one), plain(one.error) if one.failed else None)


def _answer(interaction: Interaction) -> Answer | None:
    answer = plain(interaction.answer)
    if interaction.failed or not isinstance(answer, dict) or "status" not in answer:
        return None
    version = str(answer.get("http_version") or "HTTP/1.1").removeprefix("HTTP/")
    return Answer(
        status=_status(answer["status"]),
        headers=_pairs(answer["headers"]),
        body=b"".join(map(_as_bytes, answer.get("chunks", ()))),
        reason=answer.get("reason") or "",
        http_version=version,
        error=_said(answer["error"]) if answer.get("error") else "",
    )


def _origin(scope: dict[str, Any], headers: Headers) -> str:
    scheme = scope.get("scheme") or "http"
    host = _header(headers, "host")
    if not host:
        name, port = (scope.get("server") or ("localhost", None))[:2]
        host = name if port in (None, _PORTS.get(scheme)) else f"{name}:{port}"
    return f"{scheme}://{host}"


def _target(scope: dict[str, Any]) -> str:
    path = scope.get("raw_path") or quote(scope.get("path", ""), safe=_PATH)
    query = scope.get("query_string")
    return f"{path or '/'}{f'?{query}' if query else ''}"


def sent_header(name: str, value: str) -> tuple[str, str | bytes]:
    """A header as httpx takes it; beyond ASCII as bytes, which are kept as ISO 8859-1."""
    return name, value if value.isascii() else value.encode("latin-1", "surrogateescape")


def _status(status: Any) -> int:
    if type(status) is not int:
        raise DamagedBundle(f"the run holds {status!r} as the status of an answer", why="a status is a number")
    return status


def _said(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    name = str(error.get("type", "an error")).replace(":", ".").removeprefix("builtins.")
    return f"{name}: {error.get('message', '')}"


def _pairs(headers: Any) -> Headers:
    return tuple((str(name), str(value)) for name, value in headers)


def _header(headers: Headers, name: str) -> str:
    return next((value for other, value in reversed(headers) if other.lower() == name), "")


def _as_bytes(body: Any) -> bytes:
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")
