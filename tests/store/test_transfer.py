"""Push and pull: many bundles at once, resumed, verified before they appear, and never over something else."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pytest_fluxrun.errors import (
    BadSignature,
    DamagedBundle,
    RunNotFound,
    StoreError,
    StoreUnreachable,
)
from pytest_fluxrun.store import DirectoryStore, MemoryStore, open_store
from pytest_fluxrun.store.transfer import Failure, Pin, Progress, TransferReport, pull, push
from pytest_fluxrun.testing.store import example_name

LAST_MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"


def file_names(directory: Path) -> list[str]:
    """Return the sorted names of what is in `directory`, hidden files included."""
    return sorted(path.name for path in directory.iterdir())


def accept(_name: str, _data: bytes) -> None:
    """Refuse nothing."""


def content(name: str) -> bytes:
    """Return 50 KB that belong to `name`."""
    return hashlib.shake_256(name.encode()).digest(50_000)


def pin(name: str) -> Pin:
    """Return the pin of `content`."""
    return Pin(name, hashlib.sha256(content(name)).hexdigest())


@pytest.fixture
def names() -> list[str]:
    """Return twelve names."""
    return [example_name(number) for number in range(12)]


@pytest.fixture
def full(names: list[str]) -> MemoryStore:
    """Return a store that holds the twelve."""
    store = MemoryStore(uuid.uuid4().hex)
    for name in names:
        store.put(name, content(name))
    return store


def test_pushed_bundles_arrive_and_pulled_ones_are_equal(
    bucket: str, tmp_path: Path, full: MemoryStore, names: list[str]
) -> None:
    """Through a real S3 server and back; a second time there is nothing to do."""
    remote = open_store(f"s3://{bucket}/runs")
    assert push(names, full, remote, check=accept) == TransferReport(done=tuple(names))
    assert push(names, full, remote, check=accept) == TransferReport(already_there=tuple(names))
    pins = [pin(name) for name in names]
    assert pull(pins, remote, tmp_path / "runs", check=accept) == TransferReport(done=tuple(names))
    assert pull(pins, remote, tmp_path / "runs", check=accept) == TransferReport(already_there=tuple(names))
    local = DirectoryStore(tmp_path / "runs")
    assert file_names(local.path) == [f"{name}.fluxrun" for name in names]
    assert [local.read(name) for name in names] == [content(name) for name in names]


def test_push_reports_each_failure_and_moves_the_rest(full: MemoryStore, names: list[str]) -> None:
    """A missing one, one that the check refuses, and one whose name is taken by another."""
    target = MemoryStore(uuid.uuid4().hex)
    target.put(names[2], b"another")

    def check(name: str, data: bytes) -> None:
        assert data == content(name)
        if name == names[1]:
            raise BadSignature(name)

    missing = example_name(99)
    report = push([missing, *names, names[5]], full, target, check=check)
    assert report.done == (names[0], *names[3:])
    assert [(failure.name, type(failure.error)) for failure in report.failed] == [
        (missing, RunNotFound),
        (names[1], BadSignature),
        (names[2], StoreError),
    ]
    assert list(target.names()) == [names[0], *names[2:]]
    assert target.read(names[2]) == b"another"


def test_pull_of_another_content_never_appears(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """The digest decides before the check is asked, and nothing is left behind."""
    asked: list[str] = []
    wrong = Pin(names[0], "0" * 64)
    report = pull([wrong], full, tmp_path, check=lambda name, _data: asked.append(name))
    assert [type(failure.error) for failure in report.failed] == [DamagedBundle]
    assert asked == []
    assert file_names(tmp_path) == []


def test_pull_of_what_the_check_refuses_never_appears(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """While it is asked, no file of that name exists; afterwards nothing is left behind."""
    seen: list[bool] = []

    def refuse(name: str, data: bytes) -> None:
        assert data == content(name)
        seen.append(DirectoryStore(tmp_path).exists(name))
        raise BadSignature(name)

    report = pull([pin(names[0])], full, tmp_path, check=refuse)
    assert [(failure.name, type(failure.error)) for failure in report.failed] == [(names[0], BadSignature)]
    assert seen == [False]
    assert file_names(tmp_path) == []


def test_pull_never_replaces_a_different_file(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """It fails and names the file, which stays as it is."""
    file = tmp_path / f"{names[0]}.fluxrun"
    file.write_bytes(b"mine")
    report = pull([pin(names[0])], full, tmp_path, check=accept)
    assert str(file) in report.failed[0].error.what
    assert file.read_bytes() == b"mine"
    assert file_names(tmp_path) == [file.name]


def test_pull_of_a_missing_run_leaves_nothing(tmp_path: Path, names: list[str]) -> None:
    """No empty file, and no partial one."""
    report = pull([pin(names[0])], MemoryStore(uuid.uuid4().hex), tmp_path / "runs", check=accept)
    assert [type(failure.error) for failure in report.failed] == [RunNotFound]
    assert file_names(tmp_path / "runs") == []


def test_pull_without_a_pinned_digest_relies_on_the_check(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """A run that no guard names has only its signature."""
    checked: list[bytes] = []
    report = pull([Pin(names[0])], full, tmp_path, check=lambda _name, data: checked.append(data))
    assert report == TransferReport(done=(names[0],))
    assert checked == [content(names[0])]


def test_pull_refuses_what_is_larger_than_a_bundle_may_be(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """Before a byte of it is fetched."""
    report = pull([pin(names[0])], full, tmp_path, check=accept, max_bytes=49_999)
    assert "50000 bytes" in report.failed[0].error.why
    assert file_names(tmp_path) == []


@pytest.mark.parametrize("garbage", [False, True])
def test_partial_download_is_continued_or_begun_anew(
    tmp_path: Path, full: MemoryStore, names: list[str], *, garbage: bool
) -> None:
    """What is there isn't fetched again, unless the whole then doesn't fit the pin."""
    beginning = bytes(20_000) if garbage else content(names[0])[:20_000]
    (tmp_path / f"{names[0]}.fluxrun.part").write_bytes(beginning)
    steps: list[Progress] = []
    report = pull([pin(names[0])], full, tmp_path, check=accept, progress=steps.append)
    assert report == TransferReport(done=(names[0],))
    assert steps[-1].bytes_moved == (80_000 if garbage else 30_000)
    assert DirectoryStore(tmp_path).read(names[0]) == content(names[0])
    assert file_names(tmp_path) == [f"{names[0]}.fluxrun"]


def test_partial_download_longer_than_the_bundle_is_begun_anew(
    tmp_path: Path, full: MemoryStore, names: list[str]
) -> None:
    """It belongs to something else."""
    (tmp_path / f"{names[0]}.fluxrun.part").write_bytes(bytes(50_001))
    assert pull([pin(names[0])], full, tmp_path, check=accept) == TransferReport(done=(names[0],))
    assert DirectoryStore(tmp_path).read(names[0]) == content(names[0])


def test_partial_name_of_a_finished_download_is_removed(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """A pull that was killed at its very end leaves both names; the next one tidies up without the store's help."""
    (tmp_path / f"{names[0]}.fluxrun").write_bytes(content(names[0]))
    (tmp_path / f"{names[0]}.fluxrun.part").hardlink_to(tmp_path / f"{names[0]}.fluxrun")
    full.close()
    assert pull([pin(names[0])], full, tmp_path, check=accept) == TransferReport(already_there=(names[0],))
    assert file_names(tmp_path) == [f"{names[0]}.fluxrun"]


def cut_every_answer(data: bytes, cut_bytes: int, offsets: list[int]) -> type[BaseHTTPRequestHandler]:
    """Return a handler that serves `data` as an S3 object, but closes the connection after `cut_bytes` of a body."""

    class Cutting(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.begin(200, len(data))

        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            offset = int(asked[1]) if asked else 0
            offsets.append(offset)
            self.begin(206 if asked else 200, len(data) - offset, f"bytes {offset}-{len(data) - 1}/{len(data)}")
            self.wfile.write(data[offset : offset + cut_bytes])

        def begin(self, status: int, length: int, content_range: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"tag"')
            self.send_header("Last-Modified", LAST_MODIFIED)
            if status == 206:
                self.send_header("Content-Range", content_range)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    return Cutting


def test_download_survives_cut_connections(
    serve: Callable[[type[BaseHTTPRequestHandler]], str], aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each call gets further, never asks for what it has, keeps the part, and the last makes the file appear."""
    name = example_name(1)
    data = hashlib.shake_256(b"cut").digest(3_000_000)
    offsets: list[int] = []
    aws.setenv("AWS_ENDPOINT_URL", serve(cut_every_answer(data, 60_000, offsets)))
    store = open_store("s3://bucket/runs?timeout_s=1")
    wanted = Pin(name, hashlib.sha256(data).hexdigest())
    sizes = [0]
    for _ in range(20):
        report = pull([wanted], store, tmp_path, check=accept)
        if report.done:
            break
        assert [type(failure.error) for failure in report.failed] == [StoreUnreachable]
        assert file_names(tmp_path) == [f"{name}.fluxrun.part"]
        sizes.append((tmp_path / f"{name}.fluxrun.part").stat().st_size)
    assert report.done == (name,)
    assert len(sizes) > 1
    assert sizes == sorted(set(sizes))
    assert offsets == sorted(offsets)
    assert len(offsets) <= 2 * (3_000_000 // 60_000)
    assert (tmp_path / f"{name}.fluxrun").read_bytes() == data
    assert file_names(tmp_path) == [f"{name}.fluxrun"]


def test_unreachable_store_is_given_up_soon(silent_port: int, aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hundred runs don't wait a hundred times; each is reported with the reason."""
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    pins = [pin(example_name(number)) for number in range(100)]
    began_s = time.monotonic()
    report = pull(pins, open_store("s3://bucket?timeout_s=0.4"), tmp_path, check=accept, workers=2)
    assert time.monotonic() - began_s < 3.0
    assert [failure.name for failure in report.failed] == [wanted.name for wanted in pins]
    assert {type(failure.error) for failure in report.failed} == {StoreUnreachable}


def test_progress_counts_every_run_and_byte(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """In order, one call at a time, failures included."""
    steps: list[Progress] = []
    inside = threading.Lock()

    def note(step: Progress) -> None:
        assert inside.acquire(blocking=False)
        steps.append(step)
        inside.release()

    pins = [*(pin(name) for name in names), pin(example_name(99))]
    pull(pins, full, tmp_path, check=accept, progress=note)
    assert [step.runs_done for step in steps] == sorted(step.runs_done for step in steps)
    assert (steps[-1].runs_done, steps[-1].runs_total) == (13, 13)
    assert steps[-1].bytes_moved == 12 * 50_000


def test_workers_run_at_the_same_time(full: MemoryStore, names: list[str]) -> None:
    """Four checks can wait for each other."""
    meeting = threading.Barrier(4, timeout=30)
    report = push(names, full, MemoryStore(uuid.uuid4().hex), check=lambda *_: _meet(meeting), workers=4)
    assert report.done == tuple(names)


def _meet(meeting: threading.Barrier) -> None:
    meeting.wait()


def test_concurrent_pulls_into_one_directory_agree(tmp_path: Path, full: MemoryStore, names: list[str]) -> None:
    """Each run is done once, and for the others already there."""
    pins = [pin(name) for name in names]
    with ThreadPoolExecutor(max_workers=4) as pool:
        reports = list(pool.map(lambda _: pull(pins, full, tmp_path, check=accept, workers=4), range(4)))
    assert sorted(name for report in reports for name in report.done) == names
    assert not [failure for report in reports for failure in report.failed]
    assert file_names(tmp_path) == [f"{name}.fluxrun" for name in names]


def test_error_that_is_not_ours_is_raised(full: MemoryStore, names: list[str]) -> None:
    """A broken check is a bug of its author, not a property of a bundle."""

    def broken(_name: str, _data: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        push(names, full, MemoryStore(uuid.uuid4().hex), check=broken)


def test_killed_pull_is_continued(tmp_path: Path) -> None:
    """After a kill in the middle no bundle is half there, and the next pull completes them all."""
    source = DirectoryStore(tmp_path / "source")
    wanted = [example_name(number) for number in range(40)]
    for name in wanted:
        source.put(name, content(name))
    program = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "from pytest_fluxrun.store import DirectoryStore\n"
        "from pytest_fluxrun.store.transfer import Pin, pull\n"
        "source = DirectoryStore(sys.argv[1])\n"
        "pins = [Pin(name) for name in source.names()]\n"
        "tell = lambda step: print('step', flush=True)\n"
        "pull(pins, source, Path(sys.argv[2]), check=lambda *_: None, progress=tell)\n"
    )
    target = tmp_path / "target"
    for _ in range(4):
        command = [sys.executable, "-c", program, str(source.path), str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as puller:
            assert puller.stdout is not None
            for _ in range(7):
                puller.stdout.readline()
            puller.kill()
        local = DirectoryStore(target)
        assert all(local.read(name) == content(name) for name in local.names())
    report = pull([pin(name) for name in wanted], source, target, check=accept)
    assert sorted(report.done + report.already_there) == wanted
    assert file_names(target) == [f"{name}.fluxrun" for name in wanted]


def test_failure_keeps_the_error() -> None:
    """For the caller to print."""
    error = StoreError("x", why="y", next_step="z")
    assert Failure("name", error).error is error
