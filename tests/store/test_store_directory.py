"""The directory store: the contract, crashes, and what else lies in a directory."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_fluxrun.errors import StoreError
from pytest_fluxrun.store import DirectoryStore
from pytest_fluxrun.store.directory import create_file
from pytest_fluxrun.testing.store import StoreContract, example_name

WRITER = """
import hashlib, sys
from pytest_fluxrun.store import DirectoryStore
from pytest_fluxrun.testing.store import example_name
store = DirectoryStore(sys.argv[1])
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    name = example_name(number)
    store.put(name, hashlib.shake_256(name.encode()).digest(200_000))
"""

FORKING = """
import os, sys
from pytest_fluxrun.store import DirectoryStore
from pytest_fluxrun.testing.store import example_name
store = DirectoryStore(sys.argv[1])
store.put(example_name(0), b"parent")
children = []
for number in range(8):
    pid = os.fork()
    if pid == 0:
        store.put(example_name(1), b"same")
        store.put(example_name(2 + number), b"%d" % number)
        os._exit(0)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
sys.exit(max(codes))
"""

DENIED = """
import os, sys
from pytest_fluxrun.store import DirectoryStore
from pytest_fluxrun.testing.store import example_name
if os.geteuid() == 0:
    os.setuid(65534)
try:
    DirectoryStore(sys.argv[1]).put(example_name(1), b"x")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


class TestDirectoryStore(StoreContract):
    """The contract, on a directory that doesn't exist yet."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        """Return an empty store."""
        return DirectoryStore(tmp_path / "deep" / "runs")


def file_names(directory: Path) -> list[str]:
    """Return the sorted names of what is in `directory`, hidden files included."""
    return sorted(path.name for path in directory.iterdir())


def test_killed_writers_leave_only_whole_bundles(tmp_path: Path) -> None:
    """Of bundles whose writer was killed in the middle of a write, each that is listed has all its bytes."""
    for round_number in range(12):
        first = round_number * 1_000_000
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            wait_for_a_write(tmp_path, writer, complete=round_number % 4)
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
    names = list(DirectoryStore(tmp_path).names())
    assert len(names) >= 18
    for name in names:
        assert DirectoryStore(tmp_path).read(name) == hashlib.shake_256(name.encode()).digest(200_000), name


def wait_for_a_write(directory: Path, writer: subprocess.Popen[bytes], *, complete: int) -> None:
    """Return as soon as the writer has finished `complete` bundles and is in the middle of another."""
    before = set(file_names(directory))
    until_s = time.monotonic() + 20
    while writer.poll() is None and time.monotonic() < until_s:
        new = set(file_names(directory)) - before
        if sum(name.endswith(".fluxrun") for name in new) >= complete and any(name.startswith(".put-") for name in new):
            return
    writer.kill()
    pytest.fail(f"no write was under way; new are {sorted(new)[:5]}")


def test_forked_children_share_a_store(tmp_path: Path) -> None:
    """A store opened before the fork stores from every child."""
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path)], check=True, timeout=60)
    assert list(DirectoryStore(tmp_path).names()) == [example_name(number) for number in range(10)]


def test_only_bundles_are_listed(tmp_path: Path) -> None:
    """Guards, partial downloads, temporary files, directories and strangers are not."""
    store = DirectoryStore(tmp_path)
    store.put(example_name(1), b"x")
    for stranger in (
        f"{example_name(2)}.guard.toml",
        f"{example_name(2)}.fluxrun.part",
        ".put-0123456789abcdef.tmp",
        "notes.fluxrun",
        example_name(3),
    ):
        (tmp_path / stranger).write_bytes(b"x")
    (tmp_path / f"{example_name(4)}.fluxrun").mkdir()
    assert list(store.names()) == [example_name(1)]


def test_nothing_but_the_bundle_remains_after_a_put(tmp_path: Path) -> None:
    """No temporary file, whether the name was free, taken by the same, or taken by another."""
    store = DirectoryStore(tmp_path)
    store.put(example_name(1), b"x")
    store.put(example_name(1), b"x")
    with pytest.raises(StoreError):
        store.put(example_name(1), b"y")
    assert file_names(tmp_path) == [f"{example_name(1)}.fluxrun"]


def test_old_temporary_files_are_swept(tmp_path: Path) -> None:
    """Those that are a day old belong to nobody; a fresh one may be another writer's."""
    old, fresh = tmp_path / ".put-00.tmp", tmp_path / ".put-11.tmp"
    old.write_bytes(b"x")
    fresh.write_bytes(b"x")
    two_days_ago = time.time() - 172_800
    os.utime(old, (two_days_ago, two_days_ago))
    DirectoryStore(tmp_path).put(example_name(1), b"x")
    assert not old.exists()
    assert fresh.exists()


def test_without_hard_links_one_of_many_still_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no hard links, a lock on the directory decides."""

    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("os.link", refuse)
    target = tmp_path / "target"
    with ThreadPoolExecutor(max_workers=16) as pool:
        won = list(pool.map(lambda number: create_file(target, b"%d" % number), range(16)))
    assert won.count(True) == 1
    assert target.read_bytes() == b"%d" % won.index(True)
    assert file_names(tmp_path) == ["target"]


def test_unwritable_directory_is_denied(tmp_path: Path) -> None:
    """The error names the directory and what to do."""
    tmp_path.chmod(0o500)
    try:
        command = [sys.executable, "-c", DENIED, str(tmp_path)]
        denied = subprocess.run(command, check=True, capture_output=True, timeout=60)
    finally:
        tmp_path.chmod(0o700)
    message = denied.stdout.decode()
    assert message.startswith(f"AccessDenied: {tmp_path} can't be used as a store: ")
    assert "fluxrun check" in message


@pytest.mark.parametrize("operation", ["put", "names"])
def test_file_in_place_of_the_directory_is_an_error(tmp_path: Path, operation: str) -> None:
    """Not an empty store."""
    (tmp_path / "runs").write_text("not a directory")
    store = DirectoryStore(tmp_path / "runs")
    with pytest.raises(StoreError) as caught:
        store.put(example_name(1), b"x") if operation == "put" else list(store.names())
    assert str(tmp_path / "runs") in caught.value.what
