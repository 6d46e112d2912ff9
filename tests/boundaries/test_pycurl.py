"""pycurl against the table of behaviours that every HTTP client is held to, and what is its own."""

from __future__ import annotations

import io
import json
import re
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import urlencode

from pytest_recording.network import pycurl  # the real one: it puts an object in the module's place

from pytest_fluxrun.boundaries import concurrent_futures
from pytest_fluxrun.boundaries import pycurl as pycurl_boundary
from tests.boundaries.http_behaviours import Ask, exercises
from tests.boundaries.http_contract import HttpContract


def set_files(handle: Any, ask: Ask) -> None:
    """Give the handle a form with the request's files."""
    if not hasattr(pycurl, "CurlMime"):  # before pycurl 7.46
        given = ("FORM_BUFFER", "FORM_BUFFERPTR", "FORM_CONTENTTYPE")
        options = [getattr(pycurl, option) for option in given]
        parts = [(name, tuple(chain(*zip(options, part, strict=True)))) for name, *part in ask.files]
        handle.setopt(pycurl.HTTPPOST, parts)
        return
    form = pycurl.CurlMime(handle)
    for name, file, content, kind in ask.files:
        form.add(name, content, filename=file, content_type=kind)
    handle.setopt(pycurl.MIMEPOST, form)


def configured(outside: Any, ask: Ask) -> Any:
    """A handle for the request."""
    handle = pycurl.Curl()
    query = f"?{urlencode(ask.query)}" if ask.query else ""
    handle.setopt(pycurl.URL, ask.url(outside) + query)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.TIMEOUT_MS, int(ask.timeout_s * 1000))
    handle.setopt(pycurl.FOLLOWLOCATION, ask.follow)
    handle.setopt(pycurl.ACCEPT_ENCODING, ask.headers.get("Accept-Encoding", ""))
    if ask.trusted:
        handle.setopt(pycurl.CAINFO, outside.ca_file)
    headers = [f"{name}: {value}" for name, value in ask.headers.items() if name != "Accept-Encoding"]
    if ask.json is not None:
        headers.append("Content-Type: application/json")
        handle.setopt(pycurl.POSTFIELDS, json.dumps(ask.json))
    elif ask.form is not None:
        handle.setopt(pycurl.POSTFIELDS, urlencode(ask.form))
    elif ask.files:
        set_files(handle, ask)
    elif ask.chunks:
        chunks = [*ask.chunks]
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.READFUNCTION, lambda _: chunks.pop(0) if chunks else b"")
        headers.append("Transfer-Encoding: chunked")
    elif ask.body is not None:
        handle.setopt(pycurl.POSTFIELDS, ask.body)
    if ask.method == "HEAD":
        handle.setopt(pycurl.NOBODY, 1)
    elif ask.method not in ("GET", "POST"):
        handle.setopt(pycurl.CUSTOMREQUEST, ask.method)
    handle.setopt(pycurl.HTTPHEADER, headers)
    return handle


def adapter(outside: Any, ask: Ask) -> Any:
    """Ask as users of pycurl do."""

    def once(handle: Any) -> Any:
        body = io.BytesIO()

        def part(piece: bytes) -> int:
            body.write(piece)
            return 0

        handle.setopt(pycurl.WRITEFUNCTION, part if ask.read == "part" else body.write)
        try:
            handle.perform()
        except pycurl.error as error:
            if ask.read != "part" or error.args[0] != pycurl.E_WRITE_ERROR:
                raise pycurl.error(error.args[0], re.sub(r"\d+ (ms|milliseconds)", "…", error.args[1])) from None
        told = {"status": handle.getinfo(pycurl.RESPONSE_CODE), "type": handle.getinfo(pycurl.CONTENT_TYPE)}
        return {**told, "body": body.getvalue()}

    if ask.at_once > 1:
        with ThreadPoolExecutor(ask.at_once) as pool:
            return list(pool.map(lambda _: once(configured(outside, ask)), range(ask.at_once)))
    handle = configured(outside, ask)
    return [once(handle) for _ in range(ask.times)]


class TestPycurl(HttpContract):
    """pycurl, one handle."""

    library, subject = "pycurl", "pycurl"
    boundary = pycurl_boundary.boundary
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = exercises(adapter, but=("zstd",))


def test_looking_for_copies_of_the_classes_wakes_no_lazy_object(monkeypatch):
    """Django's are made, and may raise, when they are asked for their class."""

    class Lazy:
        @property
        def __class__(self):
            raise AssertionError("woken")

    module = types.ModuleType("lazy")
    module.storage = Lazy()
    monkeypatch.setitem(sys.modules, "lazy", module)

    assert [] != list(pycurl_boundary.boundary.patches(pycurl))
