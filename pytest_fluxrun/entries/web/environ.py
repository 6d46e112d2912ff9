"""A WSGI environ as a bundle holds it, and back: reading and writing share this file. Pure but for `os.environ`.

Kept are the text values of PEP 3333 and CGI (RFC 3875), what servers commonly add about the request, and HTTP headers.
Never anything else: wsgiref puts the process's own environment, with its secrets, into every environ.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["dump_environ", "headers_in", "load_environ", "taken"]

_CGI: Final = frozenset(
    """
    AUTH_TYPE GATEWAY_INTERFACE HTTPS PATH_INFO QUERY_STRING RAW_URI REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_PORT
    REMOTE_USER REQUEST_METHOD REQUEST_SCHEME REQUEST_URI SCRIPT_NAME SCRIPT_URI SCRIPT_URL SERVER_ADDR SERVER_NAME
    SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE
    """.split()  # noqa: SIM905 - a list of words reads better
)
_HEADERS: Final = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
_HEADER: Final = re.compile(r"HTTP_[A-Z0-9_]+")
_FLAGS: Final = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.input_terminated")


def taken(environ: Mapping[str, Any]) -> dict[str, Any]:
    """What may be kept, as it is now: routers and middlewares write to the environ. Quick; the rest waits."""
    kept: dict[str, Any] = {key: value for key, value in environ.items() if type(value) is str}
    for flag in _FLAGS:
        if flag in environ:
            kept[flag] = bool(environ[flag])
    kept["wsgi.file_wrapper"] = environ.get("wsgi.file_wrapper") is not None
    return kept


def headers_in(kept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The request's headers, as a CGI variable spells them: lower case, with dashes."""
    return ((key[5:].lower().replace("_", "-"), value) for key, value in kept.items() if _HEADER.fullmatch(key))


def dump_environ(kept: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request's `scope`, as reports read it for every web entry, and the `environ` beyond its headers."""
    environ: dict[str, Any] = {}
    headers: list[list[str]] = []
    for key, value in kept.items():
        if os.environ.get(key) == value:
            continue
        if key in _HEADERS:
            headers.append([_HEADERS[key], value])
        elif _HEADER.fullmatch(key):
            headers.append([key[5:].lower().replace("_", "-"), value])
        elif key in _CGI or key.startswith(("SSL_", "HTTP_", "wsgi.")):
            environ[key] = value
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    scope = {
        "method": environ.get("REQUEST_METHOD", ""),
        "scheme": environ.get("wsgi.url_scheme", ""),
        "path": path.encode("latin-1", "replace").decode("utf-8", "replace"),
        "query_string": environ.get("QUERY_STRING", ""),
        "http_version": environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        "headers": headers,
    }
    return scope, environ


def load_environ(scope: Mapping[str, Any], environ: Mapping[str, Any]) -> dict[str, Any]:
    """The environ that `dump_environ` saw, but for what only a server can give: the streams and the file wrapper."""
    loaded = {"wsgi.version": (1, 0), **environ}
    del loaded["wsgi.file_wrapper"]
    for name, value in scope["headers"]:
        key = name.upper().replace("-", "_")
        loaded[key if key in _HEADERS else f"HTTP_{key}"] = value
    return loaded
