"""os.system is recorded and played; forks and execs inside a run are refused by name, elsewhere left alone."""

from __future__ import annotations

import multiprocessing
import os
import pty
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.os_processes import boundary
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.programs import Programs


@pytest.fixture
def outside(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


EXERCISES: dict[str, Exercise] = {
    "os.system": lambda programs: os.system(f"{programs.path} true"),
    "os.system, exit code": lambda programs: os.system(f"{programs.path} sh -c 'exit 3'"),
}


class TestOsSystem(BoundaryContract):
    subject = "os.system"
    library = "python"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES


@pytest.fixture
def _seams() -> Iterator[None]:
    """Its seams, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    for module in (os, pty):
        patching.install(boundary.patches(module))
    yield
    patching.restore_all()
    patching.install(others)


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


REFUSED: dict[str, Callable[[], Any]] = {
    "os.fork": fork,
    "os.forkpty": lambda: os.forkpty(),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.posix_spawnp": lambda: os.posix_spawnp("true", ["true"], {}),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "os.execve": lambda: os.execlpe("true", "true", {}),
    "pty.spawn": lambda: pty.spawn(["true"]),
    "pty.fork": lambda: pty.fork(),
}


@pytest.mark.usefixtures("_seams")
@pytest.mark.parametrize(
    "function",
    [pytest.param(name, marks=pytest.mark.compatibility("os.system", "python", name), id=name) for name in REFUSED],
)
def test_replay_refuses_it_by_name(function: str) -> None:
    """Nothing is forked, nothing executed."""
    replayer = MemoryReplayer([])

    with replayer.open(), pytest.raises(UnrecordedCall, match=function):
        REFUSED[function]()


@pytest.mark.usefixtures("_seams")
def test_recorded_run_forks_and_is_unready() -> None:
    """The app gets its child; the run says why it can't be replayed."""
    recorder = MemoryRecorder()

    with recorder.open():
        fork()

    assert ["os.fork"] == recorder.refused


def _in_a_child() -> None:
    os._exit(5)


@pytest.mark.usefixtures("_seams")
def test_multiprocessing_forks_as_before() -> None:
    """Its processes are its own affair."""
    recorder = MemoryRecorder()
    with recorder.open():
        child = multiprocessing.get_context("fork").Process(target=_in_a_child)
        child.start()
        child.join()

    assert (5, []) == (child.exitcode, recorder.refused)


@pytest.mark.usefixtures("_seams")
def test_start_up_and_outside_of_runs_fork_as_before() -> None:
    """A server makes its workers so."""
    recorder = MemoryRecorder()
    recorder.preamble = True
    with recorder.open():
        fork()
    fork()

    assert [] == recorder.refused
