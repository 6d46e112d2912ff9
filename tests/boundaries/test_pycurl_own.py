"""What is pycurl's own: callbacks, getinfo, what is refused by name, and answers that another library recorded."""

from __future__ import annotations

import io
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from pytest_recording.network import pycurl  # the real one: it puts an object in the module's place

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import http_client, urllib3
from pytest_fluxrun.boundaries import httpx as httpx_boundary
from pytest_fluxrun.boundaries import pycurl as pycurl_boundary
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import LeakedCall, UnrecordedCall
from pytest_fluxrun.fence import Fence
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, Recorded
from pytest_fluxrun.values import decode, has_opaque
from tests.boundaries.sessions import alone


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    with alone(pycurl_boundary.boundary, httpx_boundary.boundary, http_client.boundary, urllib3.boundary):
        yield


def again(outside: Any, ask: Callable[[], Any], then: Callable[[], Any] | None = None) -> tuple[Any, Any]:
    """What `ask` gives while it is recorded, and what it (or `then`) gives with the outside gone."""
    recorder = MemoryRecorder()
    with recorder.open():
        live = ask()
    outside.take_away()
    replayer = MemoryReplayer(recorder.finish())
    with replayer.open():
        played = (then or ask)()
    assert replayer.unrecorded is None, str(replayer.unrecorded)
    assert [] == replayer.unplayed()
    return live, played


def got(url: str, **options: Any) -> Any:
    """A handle that has got the URL, with its options by name."""
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    for name, value in options.items():
        handle.setopt(getattr(pycurl, name), value)
    handle.perform()
    return handle


def test_header_callback_and_getinfo_are_those_of_the_transfer(http_outside: Any) -> None:
    """All lines, those of redirects too, and what is known of the transfer, its times included."""
    names = ("RESPONSE_CODE", "CONTENT_TYPE", "EFFECTIVE_URL", "REDIRECT_COUNT", "TOTAL_TIME", "PRIMARY_IP",
             "SIZE_DOWNLOAD_T", "NUM_CONNECTS", "HEADER_SIZE")  # fmt: skip

    def ask() -> Any:
        lines: list[bytes] = []
        handle = got(
            f"{http_outside.url}/redirect", FOLLOWLOCATION=1, WRITEDATA=io.BytesIO(), HEADERFUNCTION=lines.append
        )
        told = {name: handle.getinfo(getattr(pycurl, name)) for name in names}
        return lines, told, handle.getinfo_raw(pycurl.CONTENT_TYPE)

    live, played = again(http_outside, ask)

    assert live == played
    assert [b"HTTP/1.1 302 Found\r\n", b"HTTP/1.1 200 OK\r\n"] == [line for line in live[0] if line.startswith(b"HTTP")]


def test_unrecorded_information_is_refused_by_name(http_outside: Any) -> None:
    """What isn't kept of a transfer isn't invented."""

    def ask() -> Any:
        return got(f"{http_outside.url}/json", WRITEDATA=io.BytesIO())

    _, played = again(http_outside, ask)

    with pytest.raises(UnrecordedCall, match=r"getinfo\(ACTIVESOCKET\) isn't recorded"):
        played.getinfo(pycurl.ACTIVESOCKET)


def test_callback_that_refuses_ends_the_transfer_alike(http_outside: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """By what it returns, and by raising; pycurl prints the error in both."""

    def refuse(_: bytes) -> int:
        return 0

    def fail(_: bytes) -> None:
        raise LookupError("no room")

    def ask() -> Any:
        found = []
        for callback in (refuse, fail):
            try:
                got(f"{http_outside.url}/json", WRITEFUNCTION=callback)
            except pycurl.error as error:
                found.append((error.args[0], capfd.readouterr().err.count("LookupError: no room")))
        return found

    live, played = again(http_outside, ask)

    assert [(23, 0), (23, 1)] == live == played


def test_bodies_by_return_value(http_outside: Any) -> None:
    """perform_rb and perform_rs, a handle's copy, and one that was reset."""

    def ask() -> Any:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, f"{http_outside.url}/latin")
        body = handle.perform_rb()
        copy = handle.duphandle()
        handle.setopt(pycurl.URL, f"{http_outside.url}/json")
        handle.setopt(pycurl.POSTFIELDS, "a=1")
        text = handle.perform_rs()
        handle.reset()
        handle.setopt(pycurl.URL, f"{http_outside.url}/json")
        return body, text, copy.perform_rb(), handle.perform_rs()

    live, played = again(http_outside, ask)

    assert live == played
    assert ("na\xefve".encode("latin-1"), '"body": "a=1"') == (live[2], live[1][18:31])


@pytest.mark.parametrize("how", ["mime", "form"])
def test_form_with_a_file_is_that_of_httpx(http_outside: Any, tmp_path: Path, how: str) -> None:
    """Both of libcurl's ways to send one; the file is read before the app deletes it."""
    path = tmp_path / "a.txt"

    def ask() -> Any:
        path.write_text("content")
        handle, body = pycurl.Curl(), io.BytesIO()
        handle.setopt(pycurl.URL, f"{http_outside.url}/status/201")
        if how == "mime":
            form = pycurl.CurlMime(handle)
            form.add_field("field", "value")
            form.add_file("file", str(path), content_type="text/plain")
            handle.setopt(pycurl.MIMEPOST, form)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                file = (pycurl.FORM_FILE, str(path), pycurl.FORM_CONTENTTYPE, "text/plain")
                handle.setopt(pycurl.HTTPPOST, [("field", "value"), ("file", file)])
        handle.setopt(pycurl.WRITEDATA, body)
        handle.perform()
        path.unlink()
        return body.getvalue()

    def then() -> Any:
        files = {"file": ("a.txt", b"content", "text/plain")}
        return httpx.post(f"{http_outside.url}/status/201", data={"field": "value"}, files=files).content

    live, played = again(http_outside, ask, then)

    assert live == played


@pytest.mark.parametrize("path", ["/json", "/gzip", "/status/503", "/sse"])
def test_answer_that_httpx_recorded_serves_pycurl(http_outside: Any, path: str) -> None:
    """Status, type and decoded body."""

    def ask() -> Any:
        answer = httpx.get(http_outside.url + path)
        return answer.status_code, answer.headers["content-type"], answer.content

    def then() -> Any:
        body = io.BytesIO()
        handle = got(http_outside.url + path, WRITEDATA=body, ACCEPT_ENCODING="gzip")
        return handle.getinfo(pycurl.RESPONSE_CODE), handle.getinfo(pycurl.CONTENT_TYPE), body.getvalue()

    live, played = again(http_outside, ask, then)

    assert live == played


@pytest.mark.parametrize("path", ["/json", "/gzip", "/status/503", "/sse"])
def test_answer_that_pycurl_recorded_serves_httpx(http_outside: Any, path: str) -> None:
    """Also where libcurl undid the content coding."""

    def ask() -> Any:
        body = io.BytesIO()
        handle = got(http_outside.url + path, WRITEDATA=body, ACCEPT_ENCODING="gzip")
        return handle.getinfo(pycurl.RESPONSE_CODE), handle.getinfo(pycurl.CONTENT_TYPE), body.getvalue()

    def then() -> Any:
        answer = httpx.get(http_outside.url + path)
        return answer.status_code, answer.headers["content-type"], answer.content

    live, played = again(http_outside, ask, then)

    assert live == played


def authorization_of(recorded: list[Recorded]) -> list[str]:
    """What the one recorded request says of who asks."""
    (one,) = recorded
    return [value for name, value in decode(one.request)["headers"] if name == "authorization"]


BASIC = {"USERPWD": "user:p@ss"}
BEARER = {"XOAUTH2_BEARER": "token", "HTTPAUTH": 64}


@pytest.mark.parametrize("other", [httpx, requests], ids=["httpx", "requests"])
@pytest.mark.parametrize(
    ("options", "said", "asked"),
    [
        pytest.param(BASIC, "Basic dXNlcjpwQHNz", {"auth": ("user", "p@ss")}, id="basic"),
        pytest.param(BEARER, "Bearer token", {"headers": {"Authorization": "Bearer token"}}, id="bearer"),
    ],
)
def test_credentials_are_recorded_as_other_libraries_record_them(
    http_outside: Any, other: Any, options: dict[str, Any], said: str, asked: dict[str, Any]
) -> None:
    """The server sees, pycurl's recording holds and another library's holds the same; and it is served to that one."""
    url = f"{http_outside.url}/authorization"
    recorders = (MemoryRecorder(), MemoryRecorder())
    with recorders[0].open():
        body = io.BytesIO()
        got(url, WRITEDATA=body, **options)
    with recorders[1].open():
        other.get(url, **asked)
    by_pycurl, by_other = (recorder.finish() for recorder in recorders)
    http_outside.take_away()
    with MemoryReplayer(by_pycurl).open():
        served = other.get(url, **asked).content

    assert [said] == authorization_of(by_pycurl) == authorization_of(by_other)
    assert said.encode() == body.getvalue() == served


@pytest.mark.parametrize(
    ("options", "userinfo", "said"),
    [
        pytest.param({"USERNAME": "a", "PASSWORD": "p:w"}, "", "Basic YTpwOnc=", id="name-and-password"),
        pytest.param({"USERPWD": "a"}, "", "Basic YTo=", id="no-password"),
        pytest.param({}, "a:p%40w@", "Basic YTpwQHc=", id="in-the-url"),
        pytest.param({"USERNAME": "b"}, "a:pw@", "Basic Yjo=", id="name-over-the-url-s"),
        pytest.param({**BASIC, **BEARER}, "", "Bearer token", id="token-over-password"),
        pytest.param({**BASIC, "XOAUTH2_BEARER": "token"}, "", "Basic dXNlcjpwQHNz", id="token-not-allowed"),
        pytest.param({"XOAUTH2_BEARER": "token"}, "", "", id="token-alone-not-allowed"),
        pytest.param({**BASIC, "HTTPAUTH": pycurl.HTTPAUTH_DIGEST}, "", "", id="digest"),
        pytest.param({**BASIC, "HTTPHEADER": ["Authorization: Own x"]}, "", "Own x", id="header-of-its-own"),
        pytest.param({**BASIC, "HTTPHEADER": ["Authorization:"]}, "", "", id="header-taken-off"),
    ],
)
def test_recorded_credentials_are_those_that_libcurl_sends(
    http_outside: Any, options: dict[str, Any], userinfo: str, said: str
) -> None:
    """From wherever it takes them."""
    recorder = MemoryRecorder()
    body = io.BytesIO()
    with recorder.open():
        got(f"{http_outside.url}/authorization".replace("//", f"//{userinfo}"), WRITEDATA=body, **options)

    assert [said] * bool(said) == authorization_of(recorder.finish())
    assert (said or "none") == body.getvalue().decode()


def test_failure_that_httpx_recorded_is_pycurls_own(http_outside: Any) -> None:
    """With libcurl's code for it."""

    def ask() -> Any:
        with pytest.raises(httpx.ConnectError):
            httpx.get(http_outside.refused)

    def then() -> Any:
        with pytest.raises(pycurl.error) as caught:
            got(f"{http_outside.refused}/")
        assert pycurl.E_COULDNT_CONNECT == caught.value.args[0]

    again(http_outside, ask, then)


def filled(url: str) -> None:
    """A form with a part that is filled after it was added."""
    handle = pycurl.Curl()
    with pycurl.CurlMime(handle) as form:
        form.add_field("a", "1").data(b"2")
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.MIMEPOST, form)
        handle.setopt(pycurl.WRITEDATA, io.BytesIO())
        handle.perform()


def multi(url: str) -> None:
    """A transfer of a CurlMulti."""
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.WRITEDATA, io.BytesIO())
    several = pycurl.CurlMulti()
    several.add_handle(handle)
    while several.perform()[1]:
        several.select(1.0)


UNCOVERED: dict[str, Callable[[str], Any]] = {
    "CurlMulti": multi,
    **({"the option MIMEPOST": filled} if hasattr(pycurl, "CurlMime") else {}),  # since pycurl 7.46
    "the option HEADER": lambda url: got(url, HEADER=1, WRITEDATA=io.BytesIO()),
    "the option HTTP_TRANSFER_DECODING": lambda url: got(url, HTTP_TRANSFER_DECODING=0, WRITEDATA=io.BytesIO()),
    "the scheme file": lambda _: got(f"file://{__file__}", WRITEDATA=io.BytesIO()),
}


@pytest.mark.compatibility("pycurl", "pycurl", "multi")
@pytest.mark.parametrize("what", list(UNCOVERED))
def test_what_is_not_covered_works_while_recording_and_is_refused_by_name(http_outside: Any, what: str) -> None:
    """The recording says that it can't be replayed; a replay refuses, and nothing goes out."""
    recorder = MemoryRecorder()
    with recorder.open():
        UNCOVERED[what](f"{http_outside.url}/json")
    recorded = recorder.finish()
    hits = http_outside.calls()

    with MemoryReplayer([]).open(), pytest.raises(UnrecordedCall) as caught:
        UNCOVERED[what](f"{http_outside.url}/json")

    assert what in str(caught.value)
    assert [True] == [has_opaque(one.answer) for one in recorded]
    assert hits == http_outside.calls()


def test_transfer_outside_every_run_is_blocked_while_a_fence_is_up(http_outside: Any) -> None:
    """Libcurl's sockets are no Python's: the boundary tells the fence, which blocks by name."""
    with Fence() as fence, entered(None):
        for ask in (lambda url: got(url), multi):
            with pytest.raises(LeakedCall):
                ask(f"{http_outside.url}/json?token=secret")

    attempts = [f"{attempt.event} {attempt.target}" for attempt in fence.attempts]
    assert 0 == http_outside.calls()
    assert [f"libcurl transfer {http_outside.url}/json", "libcurl transfer the handles of a CurlMulti"] == attempts


def test_class_that_a_module_had_imported_by_name_is_replaced() -> None:
    """`from pycurl import Curl` before the seams; restoring puts the C class back."""
    patching.restore_all()
    module = types.ModuleType("early_importer")
    module.Curl = original = pycurl.Curl  # type: ignore[attr-defined]  # as the import statement does
    sys.modules[module.__name__] = module
    try:
        patching.install(pycurl_boundary.boundary.patches(import_module("pycurl")))
        replaced = vars(module)["Curl"]
        patching.restore_all()
    finally:
        del sys.modules[module.__name__]

    assert replaced is not original
    assert issubclass(replaced, original)
    assert vars(module)["Curl"] is original
