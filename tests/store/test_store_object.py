"""Object storage: the contract on a real S3 server, and what a bad server, setting or credential leads to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import pytest_fluxrun
from pytest_fluxrun.errors import AccessDenied, RunNotFound, SettingsError, StoreError, StoreUnreachable
from pytest_fluxrun.store import Store, open_store
from pytest_fluxrun.store.object import ObjectStore
from pytest_fluxrun.testing.store import StoreContract, example_name

ACCESS_KEY = "AKIAFLUXRUNTESTKEY00"
SECRET_KEY = "planted-secret-access-key"

OPERATIONS: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put(example_name(1), b"x"),
    "put large": lambda store: store.put(example_name(1), bytes(2 << 20)),
    "read": lambda store: store.read(example_name(1)),
    "size": lambda store: store.size(example_name(1)),
    "exists": lambda store: store.exists(example_name(1)),
    "names": lambda store: list(store.names()),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())

FORKING = """
import os, sys
from pytest_fluxrun.errors import StoreError
from pytest_fluxrun.store import open_store
from pytest_fluxrun.testing.store import example_name
store = open_store(sys.argv[1])
def put(number):
    try:
        return 10 if store.put(example_name(number), b"x") else 11
    except StoreError as error:
        return 12 if str(os.getppid()) in error.why else 13
def put_in_child(number):
    pid = os.fork()
    if pid == 0:
        os._exit(put(number))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(put_in_child(1), put(2), put_in_child(3), put(4))
"""


class TestObjectStore(StoreContract):
    """The contract, under a prefix of a new bucket of a real S3 server."""

    @pytest.fixture
    def store(self, bucket: str) -> ObjectStore:
        """Return an empty store."""
        return ObjectStore(f"s3://{bucket}/team/runs/?region=eu-central-1")


class TestObjectStoreAtTheRoot(StoreContract):
    """The contract, in a whole bucket."""

    @pytest.fixture
    def store(self, bucket: str) -> ObjectStore:
        """Return an empty store."""
        return ObjectStore(f"s3://{bucket}")


class TestObjectStoreWithoutConditions(StoreContract):
    """The contract, as far as it goes on a server that doesn't know conditional writes."""

    @pytest.fixture
    def store(self, bucket: str) -> ObjectStore:
        """Return an empty store that has learnt that its server can't."""
        store = ObjectStore(f"s3://{bucket}/plain")
        store._conditional = False
        return store

    def test_of_16_writers_of_one_bundle_exactly_one_stores_it(self, store: Store) -> None:
        """Here several may believe that they were first; the bundle is whole all the same."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            answers = list(pool.map(lambda _: store.put(example_name(1), b"x" * 4096), range(16)))
        assert True in answers
        assert store.read(example_name(1)) == b"x" * 4096

    def test_of_16_contenders_for_a_name_exactly_one_wins(self, store: Store) -> None:
        """Here not at once, but whoever comes later is refused."""
        store.put(example_name(1), b"first")
        with pytest.raises(StoreError):
            store.put(example_name(1), b"second")
        assert store.read(example_name(1)) == b"first"


def answer_always(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> type[BaseHTTPRequestHandler]:
    """Return a handler that gives every request the same answer."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = handle_any

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    return Answer


def test_prefixes_of_one_bucket_are_separate(bucket: str) -> None:
    """And a bundle below the prefix isn't in it."""
    outer, inner = open_store(f"s3://{bucket}/a"), open_store(f"s3://{bucket}/a/b")
    inner.put(example_name(1), b"inner")
    outer.put(example_name(2), b"outer")
    assert list(outer.names()) == [example_name(2)]
    assert list(inner.names()) == [example_name(1)]
    assert not outer.exists(example_name(1))


def test_missing_bucket_is_named(s3_port: int, aws: pytest.MonkeyPatch) -> None:
    """For a put, a listing and a read, and it isn't called a missing run."""
    aws.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{s3_port}")
    store = ObjectStore("s3://no-such-bucket/runs")
    for operation in ("put", "names", "read"):
        with pytest.raises(StoreError) as caught:
            OPERATIONS[operation](store)
        assert not isinstance(caught.value, RunNotFound)
        assert "no-such-bucket" in caught.value.what
        assert "fluxrun check" in caught.value.next_step


@every_operation
def test_forbidden_is_access_denied(
    serve: Callable[[type[BaseHTTPRequestHandler]], str],
    aws: pytest.MonkeyPatch,
    operation: Callable[[Store], object],
) -> None:
    """The error names the bucket and the code, and shows nothing that the server echoed."""
    body = f"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId></Error>".encode()
    aws.setenv("AWS_ENDPOINT_URL", serve(answer_always(403, body)))
    with pytest.raises(AccessDenied) as caught:
        operation(ObjectStore("s3://bucket/runs"))
    assert "s3://bucket/runs" in caught.value.what
    assert "403" in caught.value.why
    assert "fluxrun check" in caught.value.next_step
    assert_nothing_secret(caught)


@every_operation
@pytest.mark.parametrize("status", [500, 503, 429])
def test_failing_server_is_unreachable(
    serve: Callable[[type[BaseHTTPRequestHandler]], str],
    aws: pytest.MonkeyPatch,
    operation: Callable[[Store], object],
    status: int,
) -> None:
    """After bounded retries; the status is in the reason."""
    aws.setenv("AWS_ENDPOINT_URL", serve(answer_always(status, f"<Error>{SECRET_KEY}</Error>".encode())))
    with pytest.raises(StoreUnreachable) as caught:
        operation(ObjectStore("s3://bucket/runs?timeout_s=1"))
    assert "s3://bucket/runs" in caught.value.what
    assert str(status) in caught.value.why
    assert_nothing_secret(caught)


@every_operation
def test_refused_connection_is_unreachable(
    closed_port: int, aws: pytest.MonkeyPatch, operation: Callable[[Store], object]
) -> None:
    """The error names the endpoint and says that the connection was refused."""
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(StoreUnreachable) as caught:
        operation(ObjectStore("s3://bucket/runs?timeout_s=1"))
    assert f"127.0.0.1:{closed_port}" in caught.value.what
    assert "refused" in caught.value.why
    assert "fluxrun check" in caught.value.next_step


@every_operation
def test_silent_server_is_unreachable_within_the_timeout(
    silent_port: int, aws: pytest.MonkeyPatch, operation: Callable[[Store], object]
) -> None:
    """However long it keeps the connection open."""
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    began_s = time.monotonic()
    with pytest.raises(StoreUnreachable) as caught:
        operation(ObjectStore("s3://bucket/runs?timeout_s=1.2"))
    assert time.monotonic() - began_s < 2 * 1.2
    assert "no answer in time" in caught.value.why


def test_answer_that_is_not_s3_is_unreachable(
    serve: Callable[[type[BaseHTTPRequestHandler]], str], aws: pytest.MonkeyPatch
) -> None:
    """A captive portal says 200 to everything; a put then must not count as stored."""
    aws.setenv("AWS_ENDPOINT_URL", serve(answer_always(200, b"<html>Welcome</html>")))
    with pytest.raises(StoreError):
        ObjectStore("s3://bucket/runs").put(example_name(1), b"x")


def test_server_without_conditional_writes_still_stores(
    serve: Callable[[type[BaseHTTPRequestHandler]], str], aws: pytest.MonkeyPatch
) -> None:
    """A 501 to If-None-Match leads to a plain write, because the name was seen to be free."""
    written: list[bytes] = []

    class Unconditional(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(404)

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("If-None-Match"):
                self.answer(501)
            else:
                written.append(body)
                self.answer(200)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("ETag", '"tag"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    aws.setenv("AWS_ENDPOINT_URL", serve(Unconditional))
    assert ObjectStore("s3://bucket/runs?timeout_s=2").put(example_name(1), b"x") is True
    assert written == [b"x"]


def test_producer_that_may_only_write_stores(
    serve: Callable[[type[BaseHTTPRequestHandler]], str], aws: pytest.MonkeyPatch
) -> None:
    """Where even asking is forbidden, the conditional write alone decides."""

    class WriteOnly(answer_always(403)):  # type: ignore[misc] # the base is made by a function
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200 if self.headers.get("If-None-Match") == "*" else 403)
            self.send_header("ETag", '"tag"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    aws.setenv("AWS_ENDPOINT_URL", serve(WriteOnly))
    assert ObjectStore("s3://bucket/runs").put(example_name(1), b"x") is True


def test_fork_after_the_first_use_is_refused_at_once(bucket: str) -> None:
    """A child forked before works, one forked after gets an error in place of a call that never returns."""
    command = [sys.executable, "-c", FORKING, f"s3://{bucket}/forks"]
    result = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert result.stdout.split() == [b"10", b"10", b"12", b"10"]


def test_profile_of_the_shared_credentials_file_is_used(bucket: str, aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the environment names no identity: `AWS_PROFILE` in `~/.aws/credentials`."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        f"[shop]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    aws.setenv("AWS_PROFILE", "shop")
    assert ObjectStore(f"s3://{bucket}/profile").put(example_name(1), b"x") is True


def test_unknown_profile_is_a_settings_error(bucket: str, aws: pytest.MonkeyPatch) -> None:
    """It names the profile."""
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SettingsError) as caught:
        ObjectStore(f"s3://{bucket}").exists(example_name(1))
    assert "'nobody'" in caught.value.what


def assert_nothing_secret(caught: pytest.ExceptionInfo[BaseException]) -> None:
    """Assert that neither the error nor the package's part of its traceback, with all locals, shows a credential."""
    package = Path(pytest_fluxrun.__file__).parent
    representation = caught.getrepr(
        showlocals=True,
        chain=True,
        tbfilter=lambda info: info.traceback.filter(lambda entry: Path(entry.path).is_relative_to(package)),
    )
    shown = str(representation)
    assert "def _ask" in shown
    assert str(caught.value).splitlines()[0] in shown
    assert ACCESS_KEY not in shown
    assert SECRET_KEY not in shown
