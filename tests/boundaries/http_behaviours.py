"""What every HTTP client must do alike: one table of behaviours, and for each library an adapter that asks.

An adapter is a function of (outside, Ask) that makes the request in the way that the library's users would, and returns
what they would see. The names of the behaviours are the columns of docs/reference/compatibility.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BEHAVIOURS", "UNREACHED", "Adapter", "Ask", "exercises"]


@dataclass(frozen=True)
class Ask:
    """One request, or several alike.

    Attributes:
        host: the attribute of the outside that the URL begins with: `url`, `secure`, `refused`, `nowhere`.
        form, files, json, body, chunks: at most one body; `files` are (field, file name, content, type).
        read: `whole`; `streamed`: iterate over the body as it comes; `part`: take the first piece and close.
        timeout_s: of reading; and of connecting, for a client that has no other for it (`connect_s`).
        trusted: verify TLS against the outside's authority (else against the usual ones).
        times: how often, one after another, over one client; `at_once`: that many concurrently.
    """

    method: str = "GET"
    path: str = "/json"
    host: str = "url"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    files: tuple[tuple[str, str, bytes, str], ...] = ()
    json: Any = None
    body: bytes | None = None
    chunks: tuple[bytes, ...] = ()
    follow: bool = False
    timeout_s: float = 5.0
    connect_s: float = 5.0
    read: str = "whole"
    trusted: bool = False
    times: int = 1
    at_once: int = 1

    def url(self, outside: Any) -> str:
        """The URL without the query."""
        return f"{getattr(outside, self.host)}{self.path}"


Adapter = Callable[[Any, Ask], Any]
"""Sync or async. Returns, per answer, a dict with `status`, `type` (Content-Type) and `body` (bytes, decoded)."""

BEHAVIOURS: Mapping[str, Ask] = {
    "get": Ask(query={"q": "a b", "r": "2"}, headers={"Accept": "application/json"}),
    "json": Ask("POST", "/json", json={"a": [1, {"b": None}]}),
    "form": Ask("POST", "/echo", form={"a": "1", "b": "ä"}),
    "multipart": Ask("POST", "/length", files=(("file", "a.txt", b"content", "text/plain"),)),
    "binary-body": Ask("PUT", "/echo", body=bytes(range(256))),
    "chunked-upload": Ask("POST", "/echo", chunks=(b"un", b"even")),
    "no-content": Ask("DELETE", "/status/204"),
    "head": Ask("HEAD", "/json"),
    "error-status": Ask(path="/status/503"),
    "redirect": Ask(path="/redirect", follow=True),
    "redirect-with-body": Ask("POST", "/keep", body=b"kept", follow=True),
    "gzip": Ask(path="/gzip"),
    "brotli": Ask(path="/brotli", headers={"Accept-Encoding": "br"}),
    "zstd": Ask(path="/zstd", headers={"Accept-Encoding": "zstd"}),
    "multipart-answer": Ask(path="/parts"),
    "latin-1": Ask(path="/latin"),
    "large": Ask(path="/large"),
    "streamed": Ask(path="/sse", read="streamed"),
    "abandoned": Ask(path="/sse", read="part"),
    "kept-alive": Ask(path="/json", times=3),
    "asked-again": Ask(path="/flaky", times=2),
    "at-once": Ask(path="/json", at_once=4),
    "tls": Ask(host="secure", trusted=True),
    "tls-untrusted": Ask(host="secure"),
    "refused": Ask(path="/", host="refused"),
    "no-such-host": Ask(path="/", host="nowhere"),
    "timed-out": Ask(path="/slow", timeout_s=0.05),
    "timed-out-in-body": Ask(path="/stall", timeout_s=0.05),
    "dropped-in-body": Ask(path="/drop"),
    "hung-up": Ask(path="/hangup"),
}

UNREACHED = frozenset({"refused", "no-such-host", "tls-untrusted"})
"""Behaviours whose request never reaches the server."""


def exercises(adapter: Adapter, *, but: Iterable[str] = ()) -> dict[str, Callable[[Any], Any]]:
    """The table for one library.

    Args:
        adapter: how the library is asked; a coroutine function for an async one.
        but: behaviours that the library itself doesn't have (it can't follow redirects, say).
    """
    left_out = frozenset(but)
    unknown = left_out - BEHAVIOURS.keys()
    assert not unknown, f"no such behaviours: {sorted(unknown)}"
    return {name: functools.partial(adapter, ask=ask) for name, ask in BEHAVIOURS.items() if name not in left_out}
