"""The kind http: how requests are compared, shown and searched for secrets, whatever the library. Pure; no I/O.

A request is `{"method", "url", "headers": [[lower-cased name, value], ...], "body": str | bytes, "streamed": bool}`.
Compared are the method, the URL (query as a multiset of pairs), the body by its content type, and the headers of
`COMPARED_HEADERS`: never one that holds a credential. `rest` marks reading on in a stream that the run left, `unread`
a body that only sending would have read, of a request that failed before: such a one equals only others like it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.kinds.structure import ABSENT, named_scalars, structural_differences
from pytest_fluxrun.values import decode

__all__ = ["COMPARED_HEADERS", "HTTP", "MOST_INFLATED", "Http", "decompressed"]

COMPARED_HEADERS: Final = (
    "accept",
    "accept-language",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "range",
    "soapaction",
    "x-http-method-override",
)
"""Request headers that change what is asked for. All others are folded: volatile, or credentials."""

MOST_INFLATED: Final = 1 << 24
"""Bytes; a few kilobytes can hold gigabytes."""
_OF_THE_EXCHANGE: Final = frozenset(
    {"age", "cf-ray", "date", "expires", "last-modified", "server-timing", "traceparent", "via", "x-amz-request-id",
     "x-amzn-requestid", "x-correlation-id", "x-request-id", "x-runtime"}
)  # fmt: skip
"""Response headers that differ each time although the answer is the same."""
_EFFECTS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNSAID_TYPE: Final = "application/octet-stream"
"""What a body is whose type isn't said (RFC 9110, 8.3): some libraries say so, some leave it."""
_MAX_TEXT: Final = 200
_CACHED_BODY_SIZE: Final = 65_536


class Http(Kind):
    """Requests over HTTP."""

    name: ClassVar[str] = "http"

    def canonical(self, request: Request) -> str:
        """Equal for requests that ask for the same: header case, query order, JSON key order and boundaries folded."""
        url = _url(request["url"])
        headers = _compared(request)
        query = "&".join(f"{name!r}={value!r}" for name, value in sorted(url.query))
        compared = [f"{name}: {value}" for name, value in headers.items()]
        rest = f"rest: {request['rest']}" if "rest" in request else ""
        body = _canonical_body(_headers(request).get("content-type", ""), request["body"])
        if request.get("unread"):
            body = "unread"
        return "\n".join((f"{request['method'].upper()} {url.base}?{query}", *compared, body, rest))

    def operation(self, request: Request) -> str:
        """`METHOD scheme://host/path`, without the query; reading on in a stream is an operation of its own."""
        method = request["method"].upper()
        return f"{'READ ON ' if 'rest' in request else ''}{method} {_url(request['url']).base}"

    def shape(self, request: Request) -> str:
        """`METHOD scheme://host`: a path may hold a value in any of its parts."""
        scheme, _, rest = _url(request["url"]).base.partition("://")
        return f"{request['method'].upper()} {scheme}://{rest.partition('/')[0]}"

    def is_effect(self, request: Request) -> bool:
        """POST, PUT, PATCH and DELETE change the outside; reading on in an answer doesn't."""
        return request["method"].upper() in _EFFECTS and "rest" not in request

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Method, URL, query, compared headers, then the body: by path where it is JSON or a form."""
        return list(_differences(recorded, asked))

    def text(self, request: Request) -> str:
        """`POST https://pay.example/charge?dry=1 {"amount": 1200}`, at most 200 characters."""
        url = _url(request["url"])
        query = f"?{url.raw_query}" if url.raw_query else ""
        rest = f" ({request['rest']})" if "rest" in request else ""
        text = f"{request['method'].upper()} {url.base}{query}{_shown_body(request)}{rest}"
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def lasting(self, answer: Any) -> Any:
        """Status, body and headers, without when they came and which exchange it was."""
        if not isinstance(answer, dict):
            return answer
        kept = {key: value for key, value in answer.items() if not key.endswith("_ns")}
        if isinstance(kept.get("headers"), list):
            kept["headers"] = [pair for pair in kept["headers"] if pair[0].lower() not in _OF_THE_EXCHANGE]
        return kept

    def address(self, request: Request) -> str:
        """`scheme://host/path`, with the port where it isn't the scheme's own."""
        return _url(request["url"]).base

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """Headers, cookies, query pairs, JSON keys (dotted) and form fields of the request and of its answer."""
        yield from _named_headers(request["headers"])
        yield from _url(request["url"]).query
        yield from _named_in_body(_headers(request), request["body"])
        if isinstance(answer, dict) and "chunks" in answer:
            try:
                headers, chunks = decode(answer["headers"]), decode(answer["chunks"])
            except FluxRunError:
                return
            yield from _named_headers(headers)
            yield from _named_headers(decode(answer.get("trailers", [])))
            yield from _named_in_body(_joined_headers(headers), b"".join(map(_as_bytes, chunks)))


HTTP = Http()


# -- parts of a request


@dataclass(frozen=True, slots=True)
class _Url:
    """A URL's parts: `base` is scheme, host, port where it isn't the scheme's own, and path."""

    base: str
    query: tuple[tuple[str, str], ...]
    raw_query: str


@functools.lru_cache(maxsize=2048)
def _url(url: str) -> _Url:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    try:
        port = parts.port
    except ValueError:
        port = None
    suffix = "" if port is None or port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    pairs = tuple(parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape"))
    return _Url(f"{scheme}://{host}{suffix}{parts.path or '/'}", pairs, parts.query)


def _headers(request: Request) -> dict[str, str]:
    return _joined_headers(request["headers"])


def _compared(request: Request) -> dict[str, str]:
    """The headers of `COMPARED_HEADERS`, in that order; no `Accept` asks for the same as `*/*` (RFC 9110, 12.5.1)."""
    headers = _headers(request)
    if headers.get("accept") == "*/*":
        del headers["accept"]
    return {name: headers[name] for name in COMPARED_HEADERS if name in headers}


def _joined_headers(pairs: Iterable[Iterable[str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _as_bytes(body: str | bytes) -> bytes:
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def _canonical_body(content_type: str, body: str | bytes) -> str:
    if not body:
        return ""
    return (_cached_body if len(body) <= _CACHED_BODY_SIZE else _fold_body)(content_type, body)


def _fold_body(content_type: str, body: str | bytes) -> str:
    media_type = _media_type(content_type)
    if media_type == "multipart/form-data" or media_type.startswith("multipart/"):
        folded: Any = _fold_boundary(content_type, _as_bytes(body))
    else:
        parsed = _parsed(media_type, body)
        folded = _as_bytes(body) if parsed is None else json.dumps(parsed[0], sort_keys=True).encode()
    return f"{media_type or _UNSAID_TYPE} {hashlib.blake2b(folded, digest_size=16).hexdigest()}"


_cached_body = functools.lru_cache(maxsize=512)(_fold_body)


def _parsed(media_type: str, body: str | bytes) -> tuple[Any] | None:
    """The structure in a JSON or form body, boxed since JSON may hold None; None for all else, broken JSON included."""
    if _is_json(media_type):
        try:
            return (json.loads(body),)
        except (ValueError, RecursionError):
            return None
    if media_type == "application/x-www-form-urlencoded":
        try:
            text = body if isinstance(body, str) else body.decode()
        except UnicodeDecodeError:
            return None
        return (parse_qsl(text, keep_blank_values=True, errors="surrogateescape"),)
    return None


def _fold_boundary(content_type: str, body: bytes) -> bytes:
    """A multipart body with a boundary of no account, and each part's headers sorted and their names in lower case."""
    _, _, parameter = content_type.partition("boundary=")
    boundary = parameter.partition(";")[0].strip().strip('"').encode("latin-1", "replace")
    if not boundary:
        return body
    return b"--boundary".join(_fold_part(part) for part in body.split(b"--" + boundary))


def _fold_part(part: bytes) -> bytes:
    head, blank, content = part.partition(b"\r\n\r\n")
    if not blank:
        return part
    headers = (line.partition(b":") for line in head.split(b"\r\n"))
    return b"\r\n".join(sorted(name.lower() + colon + value for name, colon, value in headers)) + blank + content


# -- differences and text


def _differences(recorded: Request, asked: Request) -> Iterator[Difference]:
    yield from structural_differences("request.method", recorded["method"].upper(), asked["method"].upper())
    old_url, new_url = _url(recorded["url"]), _url(asked["url"])
    yield from structural_differences("request.url", old_url.base, new_url.base)
    yield from structural_differences("request.query", _by_name(old_url.query), _by_name(new_url.query))
    old, new = _compared(recorded), _compared(asked)
    for name in COMPARED_HEADERS:
        yield from structural_differences(f"request.headers.{name}", old.get(name, ABSENT), new.get(name, ABSENT))
    old, new = _headers(recorded), _headers(asked)
    old_type, new_type = _media_type(old.get("content-type", "")), _media_type(new.get("content-type", ""))
    if recorded["body"] or asked["body"]:
        yield from structural_differences(
            "request.headers.content-type", old_type or _UNSAID_TYPE, new_type or _UNSAID_TYPE
        )
    if _canonical_body(old.get("content-type", ""), recorded["body"]) != _canonical_body(
        new.get("content-type", ""), asked["body"]
    ):
        yield from structural_differences("request.body", _body_shape(old_type, recorded), _body_shape(new_type, asked))
    yield from structural_differences("request.rest", recorded.get("rest", ABSENT), asked.get("rest", ABSENT))


def _by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Pairs as a dict; a name that occurs once has its value, one that occurs again a sorted list."""
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        grouped[name].append(value)
    return {name: values[0] if len(values) == 1 else sorted(values) for name, values in grouped.items()}


def _body_shape(media_type: str, request: Request) -> Any:
    parsed = _parsed(media_type, request["body"])
    if parsed is None:
        return request["body"]
    return parsed[0] if _is_json(media_type) else _by_name(parsed[0])


def _shown_body(request: Request) -> str:
    body = request["body"]
    if not body:
        return ""
    media_type = _media_type(_headers(request).get("content-type", ""))
    if isinstance(body, str) and not media_type.startswith("multipart/"):
        return " " + " ".join(body[: 2 * _MAX_TEXT].split())
    return f" <{len(_as_bytes(body))} bytes{f' {media_type}' if media_type else ''}>"


# -- named values


def _named_headers(pairs: Iterable[Iterable[str]]) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        key = name.lower()
        if key in ("cookie", "set-cookie"):
            yield from _named_cookies(value)
        elif key in ("authorization", "proxy-authorization"):
            scheme, _, credentials = value.partition(" ")
            yield key, credentials.strip() or scheme
        else:
            yield key, value


def _named_cookies(header: str) -> Iterator[tuple[str, str]]:
    try:
        jar = SimpleCookie(header)
    except CookieError:
        jar = SimpleCookie()
    if not jar:
        yield "cookie", header
    for name, morsel in jar.items():
        yield f"cookie.{name}", morsel.value


def _named_in_body(headers: dict[str, str], body: str | bytes) -> Iterator[tuple[str, Any]]:
    media_type = _media_type(headers.get("content-type", ""))
    plain = decompressed(headers.get("content-encoding", ""), body)
    parsed = _parsed(media_type, plain)
    if parsed is None:
        if media_type in ("text/event-stream", "application/x-ndjson", "application/jsonl"):
            yield from _named_in_lines(plain)
    elif _is_json(media_type):
        yield from named_scalars(parsed[0])
    else:
        yield from parsed[0]


def _named_in_lines(body: str | bytes) -> Iterator[tuple[str, Any]]:
    for line in _as_bytes(body).decode(errors="replace").splitlines():
        try:
            yield from named_scalars(json.loads(line.removeprefix("data:")))
        except (ValueError, RecursionError):
            continue


def decompressed(encoding: str, body: str | bytes) -> str | bytes:
    """A body without its gzip or deflate coding, the first `MOST_INFLATED` bytes; as it is with another, or damaged."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(_as_bytes(body), MOST_INFLATED)
    except zlib.error:
        return body
