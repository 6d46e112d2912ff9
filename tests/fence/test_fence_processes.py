"""Probes of processes, signals, files and database files."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import py_compile
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest

from pytest_fluxrun.errors import LeakedCall
from pytest_fluxrun.fence import Fence

TOUCH = [sys.executable, "-S", "-c", "open('made-it', 'w')"]
SHELL = "touch made-it"

PROCESSES = {
    "subprocess.run": lambda: subprocess.run(TOUCH, check=False),
    "subprocess shell": lambda: subprocess.run(SHELL, shell=True, check=False),
    "os.system": lambda: os.system(SHELL),
    "os.popen": lambda: os.popen(SHELL).close(),
    "os.posix_spawn": lambda: os.waitpid(os.posix_spawn(TOUCH[0], TOUCH, os.environ), 0),
    "os.spawnv": lambda: os.spawnv(os.P_WAIT, TOUCH[0], TOUCH),
    "os.execv": lambda: os.execv(TOUCH[0], TOUCH),
    "os.fork": lambda: os.fork() or os._exit(0),
    "os.forkpty": lambda: os.forkpty()[0] or os._exit(0),
    "multiprocessing spawn": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
    "multiprocessing fork": lambda: multiprocessing.get_context("fork").Process(target=print).start(),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_process_is_not_started(name, project):
    """No process of any making, since the fence doesn't reach into it."""
    with Fence(project=project) as fence, pytest.raises(LeakedCall):
        PROCESSES[name]()
    assert list(project.iterdir()) == []
    assert fence.attempts


POOLS = {
    "ProcessPoolExecutor": lambda: ProcessPoolExecutor(1).submit(print),
    "multiprocessing.Pool": lambda: multiprocessing.get_context("fork").Pool(1),
}


@pytest.mark.parametrize("name", POOLS)
def test_pool_of_processes_starts_none(name, project):
    """The attempt says what was tried."""
    with Fence(project=project) as fence, pytest.raises(LeakedCall):
        POOLS[name]()
    assert fence.attempts


def test_process_that_runs_already_is_given_no_job():
    """It was started before the fence and is behind none: pools refuse by name, those of threads go on."""
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor,
        multiprocessing.get_context("spawn").Pool(1) as pool,
        ThreadPool(1) as threads,
    ):
        own = os.getpid()
        assert own != executor.submit(os.getpid).result(30)
        assert own != pool.apply(os.getpid)

        with Fence() as fence:
            for attempt in (executor.submit, pool.apply_async, lambda f: pool.map(f, []), lambda f: pool.imap(f, [])):
                with pytest.raises(LeakedCall):
                    attempt(os.getpid)
            assert own == threads.apply(os.getpid)

        assert own != executor.submit(os.getpid).result(30)
        assert own != pool.apply(os.getpid)
    assert ["job for another process"] * 4 == [attempt.event for attempt in fence.attempts]
    assert ["ProcessPoolExecutor", "Pool", "Pool", "Pool"] == [attempt.target for attempt in fence.attempts]


def test_arguments_are_not_shown(project):
    """A program's arguments may hold a password."""
    with Fence(project=project) as fence, pytest.raises(LeakedCall) as caught:
        subprocess.run(["psql", "--password=hunter2"], check=False)
    assert fence.attempts[0].target == "psql"
    assert "hunter2" not in str(caught.value)


def test_signal_to_a_process_is_blocked():
    """A signal changes another process; asking whether one lives doesn't."""
    with Fence() as fence:
        os.kill(os.getpid(), 0)
        with pytest.raises(LeakedCall):
            os.kill(os.getpid(), signal.SIGURG)
    assert fence.attempts[0].event == "os.kill"


FILE_CHANGES = {
    "open": lambda: open("new", "w"),  # noqa: SIM115 - it never opens
    "append": lambda: open("old", "a"),  # noqa: SIM115 - it never opens
    "os.open": lambda: os.open("new", os.O_WRONLY | os.O_CREAT),
    "pathlib": lambda: pathlib.Path("new").write_text("x"),
    "os.remove": lambda: os.remove("old"),
    "os.rename": lambda: os.rename("old", "new"),
    "os.replace": lambda: os.replace("old", "new"),
    "os.mkdir": lambda: os.mkdir("new"),
    "os.rmdir": lambda: os.rmdir("folder"),
    "os.truncate": lambda: os.truncate("old", 0),
    "os.chmod": lambda: os.chmod("old", 0o600),
    "os.utime": lambda: os.utime("old", (1, 1)),
    "os.link": lambda: os.link("old", "new"),
    "os.symlink": lambda: os.symlink("old", "new"),
    "shutil.copy": lambda: shutil.copy("old", "new"),
    "shutil.rmtree": lambda: shutil.rmtree("folder"),
    "sqlite file": lambda: sqlite3.connect("new.db"),
    "sqlite uri": lambda: sqlite3.connect("file:new.db?mode=rwc", uri=True),
}


def _state(folder):
    return sorted(
        (path.name, path.stat().st_mode, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()
    )


@pytest.mark.parametrize("name", FILE_CHANGES)
def test_file_change_in_the_project_is_blocked(name, project):
    """The project stays as it was, also where it lies below the temp directory."""
    (project / "old").write_text("content")
    (project / "folder").mkdir()
    before = _state(project)
    with Fence(project=project) as fence, pytest.raises(LeakedCall):
        FILE_CHANGES[name]()
    assert _state(project) == before
    assert len(fence.attempts) == 1


def test_link_out_of_the_temp_directory_is_followed(project, tmp_path):
    """A link in an allowed place that points to a forbidden one is that forbidden one."""
    (project / "old").write_text("content")
    link = tmp_path / "link"
    link.symlink_to(project / "old")
    with Fence(project=project), pytest.raises(LeakedCall):
        link.write_text("changed")
    assert (project / "old").read_text() == "content"


def test_temp_files_and_directories_keep_working(project):
    """Also a directory's removal, which works with names relative to descriptors."""
    with Fence(project=project) as fence:
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "inner").mkdir()
            pathlib.Path(folder, "inner", "file").write_text("x")
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
    assert fence.attempts == ()


def test_allowed_directory_may_be_written(project):
    """What the project allows by name holds below a directory that is forbidden."""
    (project / "out").mkdir()
    with Fence(project=project, allow_write=[project / "out"]) as fence:
        (project / "out" / "report").write_text("x")
        sqlite3.connect(project / "out" / "cache.db").close()
    assert fence.attempts == ()


def test_reading_byte_code_and_existing_directories_are_left_alone(project):
    """An import during a replay may write its byte code, and a boot may ask for a directory that exists."""
    (project / "module.py").write_text("x = 1")
    (project / "folder").mkdir()
    with Fence(project=project) as fence:
        assert (project / "module.py").read_text() == "x = 1"
        assert py_compile.compile(str(project / "module.py"))
        (project / "folder").mkdir(exist_ok=True)
    assert fence.attempts == ()


@pytest.mark.parametrize("name", [":memory:", "", "file::memory:?cache=shared", "file:shared?mode=memory"])
def test_database_in_memory_is_left_alone(name, project):
    """Replayed SQL itself lives in one."""
    with Fence(project=project) as fence:
        sqlite3.connect(name, uri=name.startswith("file:")).close()
    assert fence.attempts == ()


def test_database_in_the_temp_directory_is_live_state(project, tmp_path):
    """A database file that an earlier test or the app made is not the recording's."""
    with Fence(project=project), pytest.raises(LeakedCall):
        sqlite3.connect(tmp_path / "app.db")
    assert not (tmp_path / "app.db").exists()
