"""A run's HTTP as HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec): what came in, then what went out.

A call without an answer has status 0 and the error in `_error`, as browsers write it. Pure.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from pytest_fluxrun import __version__
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.exchanges import Answer, Headers, Outgoing, Request, incoming, outgoing, response_of
from pytest_fluxrun.kinds.http import MOST_INFLATED, decompressed
from pytest_fluxrun.run import Recording, Run
from pytest_fluxrun.values import plain

__all__ = ["har_of", "to_har"]

_NS_PER_MS: Final = 1e6
_UNKNOWN: Final = -1


def to_har(run: Run) -> str:
    """The document as indented JSON, in ASCII: what steers a terminal, and half a surrogate pair, are escapes in it.

    Raises:
        FluxRunError: the run has no HTTP in it.
    """
    return f"{json.dumps(har_of(run), indent=2)}\n"


def har_of(run: Run) -> dict[str, Any]:
    """The document, of JSON's own types.

    Raises:
        FluxRunError: the run has no HTTP in it.
    """
    recording = run.recording
    entries = []
    scope = plain(run.input).get("scope")
    if scope and scope.get("method"):
        asked, error = incoming(run), _error_of(run)
        comment = f"what invoked run {run.id} of {run.entry}"
        entries.append(
            _entry(recording, 0, recording.duration_ns, asked, response_of(run), error=error, comment=comment)
        )
    entries += (_of_call(recording, call) for call in outgoing(run))
    if not entries:
        raise FluxRunError(
            f"run {run.id} has no HTTP in it",
            why=f"the {run.entry_kind} entry {run.entry!r} was not invoked by a request and made none",
            next_step=f"`fluxrun show {run.id[:10]}` shows what it did",
        )
    return {"log": {"version": "1.2", "creator": {"name": "FluxRun", "version": __version__}, "entries": entries}}


def _of_call(recording: Recording, call: Outgoing) -> dict[str, Any]:
    one = call.interaction
    error = call.failed or (call.answer.error if call.answer else "")
    comment = f"call {call.number} of the run, by {one.boundary}"
    return _entry(
        recording, one.started_ns, one.ended_ns, call.request, call.answer, error=error, comment=comment
    )  # fmt: skip


def _entry(
    recording: Recording,
    started_ns: int,
    ended_ns: int,
    request: Request,
    answer: Answer | None,
    *,
    error: str,
    comment: str,
) -> dict[str, Any]:
    took_ms = max(0, ended_ns - started_ns) / _NS_PER_MS
    began = datetime.fromtimestamp((recording.wall_ns + started_ns) / 1e9, UTC)
    entry = {
        "startedDateTime": began.isoformat(timespec="milliseconds"),
        "time": took_ms,
        "request": _request(request),
        "response": _response(answer),
        "cache": {},
        "timings": {"send": 0, "wait": took_ms, "receive": 0},
        "comment": comment,
    }
    return {**entry, "_error": error} if error else entry


def _request(request: Request) -> dict[str, Any]:
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True, errors="replace")
    told = {
        "method": request.method,
        "url": request.url,
        "httpVersion": f"HTTP/{request.http_version}",
        "cookies": _cookies(request.headers, "cookie"),
        "headers": _named(request.headers),
        "queryString": _named(query),
        "headersSize": _UNKNOWN,
        "bodySize": len(request.body),
    }
    return {**told, "postData": _post_data(request)} if request.body else told


def _post_data(request: Request) -> dict[str, Any]:
    """Text as it is; HAR has no form for other bodies, so they are base64 and say so in `_encoding`."""
    inflated = decompressed(request.header("content-encoding"), request.body)
    text, encoding = _text_of(inflated)
    data = {"mimeType": request.header("content-type"), "text": text, **_cut(inflated, request.body)}
    return {**data, "_encoding": encoding} if encoding else data


def _response(answer: Answer | None) -> dict[str, Any]:
    answer = answer or Answer(0, (), b"")
    content_of = decompressed(answer.header("content-encoding"), answer.body)
    text, encoding = _text_of(content_of)
    content: dict[str, Any] = {
        "size": len(content_of.encode() if isinstance(content_of, str) else content_of),
        "mimeType": answer.header("content-type") or "x-unknown",
        "text": text,
        **_cut(content_of, answer.body),
    }
    if encoding:
        content["encoding"] = encoding
    return {
        "status": answer.status,
        "statusText": answer.reason,
        "httpVersion": f"HTTP/{answer.http_version}",
        "cookies": _cookies(answer.headers, "set-cookie"),
        "headers": _named(answer.headers),
        "content": content,
        "redirectURL": answer.header("location"),
        "headersSize": _UNKNOWN,
        "bodySize": len(answer.body),
    }


def _cut(inflated: str | bytes, body: bytes) -> dict[str, str]:
    """A comment where only a part of a compressed body is shown."""
    if inflated == body or len(inflated) < MOST_INFLATED:
        return {}
    return {"comment": f"the first {MOST_INFLATED:,} bytes of the inflated body"}


def _named(pairs: Any) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _cookies(headers: Headers, name: str) -> list[dict[str, str]]:
    found = []
    for header, value in headers:
        if header.lower() != name:
            continue
        try:
            jar = SimpleCookie(value)
        except CookieError:  # it is among the headers all the same
            continue
        found += [{"name": key, "value": morsel.value} for key, morsel in jar.items()]
    return found


def _text_of(body: str | bytes) -> tuple[str, str]:
    """A body as JSON can hold it, and the encoding that this took, or ""."""
    if isinstance(body, str):
        return body, ""
    try:
        return body.decode(), ""
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


def _error_of(run: Run) -> str:
    error = plain(run.outcome).get("error")
    return f"{str(error['type']).replace(':', '.').removeprefix('builtins.')}: {error['message']}" if error else ""
