"""What a response's body says, by its content type: a tree of JSON, fields, events or parts; text; or bytes. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.message import Message
from typing import Any, Final
from urllib.parse import parse_qsl

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.values import decode, plain

__all__ = ["Content", "body_of", "content_of", "media_type", "parameters"]

_COMPRESSED = frozenset({"gzip", "deflate"})
_ANY_HEADER = 47  # zlib's sign for: gzip or zlib, whichever it is
_TEXT_TYPES: Final = ("text/", "application/xml", "application/xhtml", "application/javascript", "image/svg")
_JSON_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines",
     "application/x-jsonlines", "application/x-jsonl", "application/json-seq", "application/stream+json"}
)  # fmt: skip
_RECORD_SEPARATOR: Final = "\x1e"
"""Before each text of a JSON sequence (RFC 7464)."""
_BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Content:
    """A body as it is compared.

    Attributes:
        form: `json`, `form`, `events` (SSE), `lines` (NDJSON), `parts` (multipart), `text` or `binary`.
        value: a tree of JSON for the first five, else as `raw`.
        raw: the body, inflated: text where it is one, else bytes.
    """

    form: str
    value: Any
    raw: str | bytes


def content_of(response: Any) -> Content:
    """A response's body by its content type; what isn't what its type says is text, or binary.

    Numbers that a float would round are Decimals, and JSON that has a key twice is text, so that no difference hides.
    """
    return _content(joined(response["headers"]), _inflated(response))


def body_of(response: Any) -> Any:
    """A response's body as a reader takes it: inflated; parsed where it is JSON, with integers of any size."""
    body = plain(_inflated_value(response))
    kind = media_type(joined(response["headers"]).get("content-type", ""))
    if isinstance(body, str) and _is_json(kind):
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return body
    return body


def media_type(content_type: str) -> str:
    """`text/html` of `Text/HTML; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def parameters(content_type: str) -> dict[str, str]:
    """What a content type, or a content disposition, says behind its first word; names in lower case."""
    message = Message()
    message["content-type"] = content_type
    return {name.lower(): value for name, value in (message.get_params() or [])[1:]}


def joined(headers: Iterable[Iterable[str]]) -> dict[str, str]:
    """Headers by lower-case name; of those sent more than once, the first."""
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.lower(), value)
    return found


def _content(headers: Mapping[str, str], body: str | bytes) -> Content:
    content_type = headers.get("content-type", "")
    if isinstance(body, bytes) and (text := _decoded(content_type, body)) is not None:
        body = text
    found = _reader(media_type(content_type))
    if found is not None:
        form, read = found
        try:
            return Content(form, read(content_type, body), body)
        except (ValueError, RecursionError):
            pass  # it isn't what its type says: compared as what it is
    return Content("text" if isinstance(body, str) else "binary", body, body)


def _is_json(kind: str) -> bool:
    return "json" in kind and kind not in _JSON_LINES


def _reader(kind: str) -> tuple[str, Callable[[str, str | bytes], Any]] | None:
    if kind in _JSON_LINES:
        return "lines", lambda _, body: _json_lines(_text(body))
    if _is_json(kind):
        return "json", lambda _, body: _json(_text(body))
    if kind == "application/x-www-form-urlencoded":
        return "form", lambda _, body: _form(_text(body))
    if kind == "text/event-stream":
        return "events", lambda _, body: {"events": _events(_text(body))}
    if kind.startswith("multipart/"):
        return "parts", lambda content_type, body: {"parts": _parts(content_type, body)}
    return None


def _inflated(response: Any) -> str | bytes:
    body = decode(_inflated_value(response))
    return body if isinstance(body, str) else bytes(body)


def _inflated_value(response: Any) -> Any:
    """The body, text where it was compressed text: redaction and other versions of zlib compress the same otherwise."""
    body = response["body"]
    encoding = joined(response["headers"]).get("content-encoding", "")
    if not isinstance(body, dict) or encoding.lower() not in _COMPRESSED:
        return body
    try:
        return zlib.decompress(decode(body), _ANY_HEADER).decode()
    except (zlib.error, UnicodeDecodeError, FluxRunError):
        return body


def _decoded(content_type: str, body: bytes) -> str | None:
    """Text in another encoding than UTF-8; what is no text, or none in the encoding that it names, is None."""
    charset = parameters(content_type).get("charset")
    if charset is None or not media_type(content_type).startswith(_TEXT_TYPES):
        return None
    try:
        return body.decode(charset)
    except (LookupError, UnicodeDecodeError):
        return None


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else body.decode()


def _json(text: str) -> Any:
    return json.loads(
        text, parse_constant=_refuse_constant, parse_float=_exact_float, object_pairs_hook=_keys_that_occur_once
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} isn't JSON")


def _exact_float(text: str) -> float | Decimal:
    """The float, or where it says something else than the text, a Decimal."""
    number, exact = float(text), Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


def _keys_that_occur_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _json_lines(text: str) -> list[Any]:
    return [_json(line) for line in text.replace(_RECORD_SEPARATOR, "\n").split("\n") if line.strip()]


def _form(text: str) -> dict[str, Any]:
    """Fields by name; one that occurs again has a list of its values, in order."""
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="surrogateescape"):
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _events(text: str) -> list[dict[str, Any]]:
    """The events of a stream (HTML, 9.2.6), `data` parsed where it is JSON; comments keep a connection alive, no more.

    One that the end of the body cuts off is an event of its own, marked so.
    """
    lines = text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    found: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    for line in lines:
        if not line:
            found += [_with_json(event)] if event else []
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            event[name] = f"{event['data']}\n{value}" if name == "data" and "data" in event else value
    return [*found, {**_with_json(event), "cut_off": True}] if event else found


def _with_json(event: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**event, "data": _json(event["data"])}
    except (KeyError, ValueError, RecursionError):
        return event


def _parts(content_type: str, body: str | bytes) -> list[dict[str, Any]]:
    """The parts of a multipart body (RFC 2046, 5.1), each with its headers and its content by its own type."""
    boundary = parameters(content_type).get("boundary", "")
    data = body.encode() if isinstance(body, str) else body
    if not boundary:
        raise ValueError("no boundary is given")
    delimiter = b"--" + boundary.encode("latin-1")
    pieces = (b"\r\n" + data).split(b"\r\n" + delimiter)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise ValueError("it isn't divided by its boundary")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> dict[str, Any]:
    _, _, piece = piece.partition(b"\r\n")
    head, blank, body = (b"\r\n" + piece).partition(b"\r\n\r\n")
    if not blank:
        raise ValueError("a part has no end of its headers")
    lines = [line.partition(":") for line in head.decode("utf-8", "surrogateescape").split("\r\n") if line]
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    return {"headers": headers, "body": _content(headers, _text_or_bytes(body)).value}


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
