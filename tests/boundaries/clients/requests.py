"""requests as its users call it, over a Session; also niquests, which has the same interface."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.boundaries.http_behaviours import Adapter, Ask


def arguments(outside: Any, ask: Ask) -> dict[str, Any]:
    """What a request is made with."""
    files = {name: (file, content, kind) for name, file, content, kind in ask.files} or None
    data = ask.form if ask.form is not None else iter(ask.chunks) if ask.chunks else ask.body
    return {
        "params": ask.query or None,
        "headers": ask.headers,
        "data": data,
        "files": files,
        "json": ask.json,
        "timeout": (ask.connect_s, ask.timeout_s),
        "allow_redirects": ask.follow,
        "verify": outside.ca_file if ask.trusted else True,
        "stream": ask.read != "whole",
    }


def adapter_of(library: Any) -> Adapter:
    """One session for all."""

    def adapter(outside: Any, ask: Ask) -> Any:
        def once(session: Any) -> Any:
            with session.request(ask.method, ask.url(outside), **arguments(outside, ask)) as response:
                if ask.read == "whole":
                    body = response.content
                else:
                    pieces = response.iter_content(None)
                    body = next(pieces) if ask.read == "part" else b"".join(pieces)
                return {"status": response.status_code, "type": response.headers.get("Content-Type"), "body": body}

        with library.Session() as session:
            session.trust_env = False
            if ask.at_once > 1:
                with ThreadPoolExecutor(ask.at_once) as pool:
                    return list(pool.map(once, [session] * ask.at_once))
            return [once(session) for _ in range(ask.times)]

    return adapter
