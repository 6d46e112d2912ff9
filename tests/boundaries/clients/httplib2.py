"""httplib2 as its users call it: an Http object per thread. It reads each answer whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httplib2

from tests.boundaries.clients.http_client import decoded, request_of
from tests.boundaries.http_behaviours import Ask


def adapter(outside: Any, ask: Ask) -> Any:
    """One Http object, or one per thread."""
    target, body, headers = request_of(ask)
    base = urlsplit(ask.url(outside))

    def client() -> httplib2.Http:
        found = httplib2.Http(timeout=ask.timeout_s, ca_certs=outside.ca_file if ask.trusted else None, proxy_info=None)
        found.follow_redirects = ask.follow
        return found

    def once(http: httplib2.Http) -> Any:
        url = f"{base.scheme}://{base.netloc}{target}"
        response, content = http.request(url, ask.method, body, dict(headers))
        found = decoded(content, response.get("content-encoding"))
        return {"status": response.status, "type": response.get("content-type"), "body": found}

    def alone(_: int) -> Any:
        http = client()
        try:
            return once(http)
        finally:
            http.close()

    if ask.at_once > 1:
        with ThreadPoolExecutor(ask.at_once) as pool:
            return list(pool.map(alone, range(ask.at_once)))
    http = client()
    try:
        return [once(http) for _ in range(ask.times)]
    finally:
        http.close()
