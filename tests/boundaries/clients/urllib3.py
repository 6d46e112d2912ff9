"""urllib3 as its users call it: a PoolManager; 1.26 as well as 2."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3

from tests.boundaries.http_behaviours import Ask


def pool_of(outside: Any, ask: Ask) -> urllib3.PoolManager:
    """Trusts the outside's authority, or the usual ones, none of which signed its certificate."""
    trust = {"ca_certs": outside.ca_file} if ask.trusted else {}
    timeout = urllib3.Timeout(connect=ask.connect_s, read=ask.timeout_s)
    return urllib3.PoolManager(maxsize=4, timeout=timeout, retries=False, cert_reqs="CERT_REQUIRED", **trust)


def arguments(ask: Ask) -> dict[str, Any]:
    """What a request is made with."""
    headers = dict(ask.headers)
    found: dict[str, Any] = {"headers": headers}
    if ask.json is not None:
        found["body"], headers["Content-Type"] = json.dumps(ask.json).encode(), "application/json"
    elif ask.form is not None:
        found["fields"], found["encode_multipart"] = dict(ask.form), False
    elif ask.files:
        found["fields"] = {name: (file, content, kind) for name, file, content, kind in ask.files}
    elif ask.chunks:
        found["body"], found["chunked"] = iter(ask.chunks), True
    elif ask.body is not None:
        found["body"] = ask.body
    elif ask.query:
        found["fields"] = dict(ask.query)
    return found


def adapter(outside: Any, ask: Ask) -> Any:
    """One pool for all."""

    def once(pool: Any) -> Any:
        streamed = ask.read != "whole"
        retries = urllib3.Retry(3) if ask.follow else False
        response = pool.request(
            ask.method,
            ask.url(outside),
            **arguments(ask),
            redirect=ask.follow,
            retries=retries,
            preload_content=not streamed,
        )
        if not streamed:
            body = response.data
        else:
            pieces = response.stream()
            body = next(pieces) if ask.read == "part" else b"".join(pieces)
            response.close()
        return {"status": response.status, "type": response.headers.get("Content-Type"), "body": body}

    with pool_of(outside, ask) as pool:
        if ask.at_once > 1:
            with ThreadPoolExecutor(ask.at_once) as threads:
                return list(threads.map(once, [pool] * ask.at_once))
        return [once(pool) for _ in range(ask.times)]
