"""http.client as its users call it: a connection, a request, the answer. It follows no redirect and decodes nothing."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

import brotli
import zstandard

from tests.boundaries.http_behaviours import Ask

BOUNDARY_TEXT = "of-a-form"


def context_of(outside: Any, ask: Ask) -> ssl.SSLContext:
    """Trusts the outside's authority, or none; making the usual context anew would be most of the tests' time."""
    if ask.trusted:
        return ssl.create_default_context(cafile=outside.ca_file)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def request_of(ask: Ask) -> tuple[str, Any, dict[str, str]]:
    """Target, body and headers for a library that makes none of them itself."""
    headers = dict(ask.headers)
    target = f"{ask.path}?{urlencode(ask.query)}" if ask.query else ask.path
    body: Any = ask.body
    if ask.json is not None:
        body, headers["Content-Type"] = json.dumps(ask.json).encode(), "application/json"
    elif ask.form is not None:
        body, headers["Content-Type"] = urlencode(ask.form).encode(), "application/x-www-form-urlencoded"
    elif ask.files:
        body, headers["Content-Type"] = multipart(ask), f"multipart/form-data; boundary={BOUNDARY_TEXT}"
    elif ask.chunks:
        body = iter(ask.chunks)
    return target, body, headers


def multipart(ask: Ask) -> bytes:
    """The files of an ask as multipart/form-data."""
    parts = [
        f'--{BOUNDARY_TEXT}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, file, content, kind in ask.files
    ]
    return b"".join((*parts, f"--{BOUNDARY_TEXT}--\r\n".encode()))


def decoded(body: bytes, encoding: str | None) -> bytes:
    """What users of a library that decodes nothing do themselves."""
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "br":
            return bytes(brotli.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def adapter(outside: Any, ask: Ask) -> Any:
    """One connection per thread."""
    parts = urlsplit(ask.url(outside))
    target, body, headers = request_of(ask)

    def connection() -> http.client.HTTPConnection:
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.netloc, timeout=ask.timeout_s, context=context_of(outside, ask))
        return http.client.HTTPConnection(parts.netloc, timeout=ask.timeout_s)

    def once(conn: http.client.HTTPConnection) -> Any:
        conn.request(ask.method, target, body, headers)
        response = conn.getresponse()
        if ask.read == "part":
            found = response.read1()
            response.close()
            conn.close()
        elif ask.read == "streamed":
            found = b"".join(iter(response.read1, b""))
        else:
            found = response.read()
        found = decoded(found, response.headers["Content-Encoding"])
        return {"status": response.status, "type": response.headers["Content-Type"], "body": found}

    def alone(_: int) -> Any:
        conn = connection()
        try:
            return once(conn)
        finally:
            conn.close()

    if ask.at_once > 1:
        with ThreadPoolExecutor(ask.at_once) as pool:
            return list(pool.map(alone, range(ask.at_once)))
    conn = connection()
    try:
        return [once(conn) for _ in range(ask.times)]
    finally:
        conn.close()
