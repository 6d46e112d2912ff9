"""urllib.request as its users call it. It decodes nothing and has no connection pool."""

from __future__ import annotations

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from tests.boundaries.clients.http_client import context_of, decoded, request_of
from tests.boundaries.http_behaviours import Ask


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def adapter(outside: Any, ask: Ask) -> Any:
    """One opener for all; a status that it raises is one to its caller."""
    target, body, headers = request_of(ask)
    base = urlsplit(ask.url(outside))
    handlers: list[Any] = [urllib.request.ProxyHandler({})]
    if base.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=context_of(outside, ask)))
    if not ask.follow:
        handlers.append(_Unfollowed())
    opener = urllib.request.build_opener(*handlers)

    def once(_: int) -> Any:
        url = f"{base.scheme}://{base.netloc}{target}"
        request = urllib.request.Request(url, data=body, headers=headers, method=ask.method)
        try:
            response = opener.open(request, timeout=ask.timeout_s)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            if ask.read == "part":
                found = response.read1()
            elif ask.read == "streamed":
                found = b"".join(iter(response.read1, b""))
            else:
                found = response.read()
            found = decoded(found, response.headers["Content-Encoding"])
            return {"status": response.status, "type": response.headers["Content-Type"], "body": found}

    if ask.at_once > 1:
        with ThreadPoolExecutor(ask.at_once) as pool:
            return list(pool.map(once, range(ask.at_once)))
    return [once(index) for index in range(ask.times)]
