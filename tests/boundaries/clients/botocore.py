"""botocore's own HTTP session, below its clients: prepared requests over its URLLib3Session."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from tests.boundaries.clients.http_client import BOUNDARY_TEXT, decoded, multipart
from tests.boundaries.http_behaviours import Ask


def prepared(outside: Any, ask: Ask) -> Any:
    """The request as a client of botocore would prepare it."""
    headers = dict(ask.headers)
    data: Any = ask.body
    if ask.json is not None:
        data, headers["Content-Type"] = json.dumps(ask.json).encode(), "application/json"
    elif ask.form is not None:
        data, headers["Content-Type"] = urlencode(ask.form).encode(), "application/x-www-form-urlencoded"
    elif ask.files:
        data, headers["Content-Type"] = multipart(ask), f"multipart/form-data; boundary={BOUNDARY_TEXT}"
    request = AWSRequest(ask.method, ask.url(outside), headers, data or b"", params=dict(ask.query))
    request.stream_output = ask.read != "whole"
    return request.prepare()


def adapter(outside: Any, ask: Ask) -> Any:
    """One session for all."""

    def once(session: URLLib3Session) -> Any:
        response = session.send(prepared(outside, ask))
        if ask.read == "whole":
            body = response.content
        else:
            pieces = response.raw.stream()
            body = next(pieces) if ask.read == "part" else b"".join(pieces)
            response.raw.close()
        body = decoded(body, None if ask.read != "whole" else response.headers.get("Content-Encoding"))
        return {"status": response.status_code, "type": response.headers.get("Content-Type"), "body": body}

    session = URLLib3Session(verify=outside.ca_file if ask.trusted else True, timeout=ask.timeout_s)
    try:
        if ask.at_once > 1:
            with ThreadPoolExecutor(ask.at_once) as pool:
                return list(pool.map(once, [session] * ask.at_once))
        return [once(session) for _ in range(ask.times)]
    finally:
        session.close()
