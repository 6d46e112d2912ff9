"""Which request a library is about to make, known before it connects or sends. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pytest_fluxrun.boundaries.http.asked import form_of
from pytest_fluxrun.boundaries.http.exchange import text_or_bytes

__all__ = ["Intent", "pool_url"]


class Intent:
    """The request that a library is about to make, for connections that it opens before it sends.

    Args:
        url: made only where it is asked for: encoding one costs more than all the rest.

    Attributes:
        unread: only sending would read the body: it is a file or a generator.
    """

    def __init__(self, method: str, url: str | Callable[[], str], headers: Any, body: Any) -> None:
        self._parts = (method, url, headers, body)
        self.unread = not (body is None or isinstance(body, bytes) or (isinstance(body, str) and body.isascii()))

    def form(self) -> dict[str, Any]:
        """The request in the form of the kind http, as far as it is known."""
        method, given, headers, body = self._parts
        url = given if isinstance(given, str) else given()
        pairs = [(_text(name).lower(), _text(value)) for name, value in dict(headers or {}).items()]
        if self.unread:
            return {**form_of(method, url, pairs, "", streamed=True), "unread": True}
        return form_of(
            method, url, pairs, text_or_bytes(body) if isinstance(body, bytes) else body or "", streamed=False
        )


def pool_url(pool: Any, url: str) -> str:
    """The URL as a pool of urllib3's kind will send it: the library encodes what the caller gave."""
    encoding = import_module(f"{type(pool).urlopen.__module__.partition('.')[0]}.util.url")
    if not url.startswith("/"):
        return str(encoding.parse_url(url).url)
    netloc = pool.host if pool.port is None else f"{pool.host}:{pool.port}"
    return f"{pool.scheme}://{netloc}{encoding._encode_target(url)}"  # noqa: SLF001 - as `urlopen` does


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
