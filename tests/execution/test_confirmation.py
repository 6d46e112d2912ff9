"""Confirmation in a forked child and in a fresh pytest: answers, crashes, hangs, and what must not be inherited."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

import pytest_fluxrun
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.execution.confirmation import (
    OUTPUT_VARIABLE,
    Confirmation,
    confirm_forked,
    confirm_fresh,
    is_confirming,
    write_answer,
)
from pytest_fluxrun.execution.zygote import Zygote, lost_threads

state = {"count": 0}
LONG_S = 20.0


def _work(request):
    what = request["do"]
    if what == "count":
        state["count"] += 1
        return {"verdict": f"count-{state['count']}", "detail": f"process {os.getpid() != request['pid']}"}
    if what == "raise":
        raise ValueError("as asked")
    if what == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    if what == "big":
        return {"verdict": "match", "detail": "x" * 1_000_000}
    if what == "send":
        try:
            os.write(request["fd"], b"x")
        except BrokenPipeError:
            return {"verdict": "match", "detail": "severed"}
    return {"verdict": "leaked", "detail": ""}


@pytest.fixture
def zygote():
    made = Zygote(_work)
    yield made
    made.close()


def test_child_answers_from_the_state_of_the_fork(zygote):
    """Each child counts from what the zygote had, whatever happened here or in another child."""
    state["count"] = 40
    try:
        request = {"do": "count", "pid": os.getpid()}
        got = [confirm_forked(zygote, request, verdict="count-1", deadline_s=LONG_S) for _ in range(2)]
    finally:
        state["count"] = 0
    assert got == [Confirmation(how="fork", verdict="count-1", detail="process True", same=True)] * 2


def test_other_verdict_is_not_the_same(zygote):
    """Then state leaked between runs."""
    got = confirm_forked(zygote, {"do": "count", "pid": 0}, verdict="regressed", deadline_s=LONG_S)
    assert (got.verdict, got.same, got.answered) == ("count-1", False, True)


def test_error_of_the_work_is_the_detail(zygote):
    """An error isn't a verdict."""
    got = confirm_forked(zygote, {"do": "raise"}, verdict="regressed", deadline_s=LONG_S)
    assert got == Confirmation(how="fork", verdict="", detail="ValueError: as asked", same=False)
    assert not got.answered


@pytest.mark.parametrize(("how", "ended"), [("crash", "was ended by signal 9"), ("exit", "ended with 3")])
def test_crash_of_a_child_is_told_and_the_next_one_works(zygote, how, ended):
    """The zygote outlives its children."""
    got = confirm_forked(zygote, {"do": how}, verdict="regressed", deadline_s=LONG_S)
    assert got.detail.startswith(f"the clean process {ended}")
    assert confirm_forked(zygote, {"do": "count", "pid": 0}, verdict="count-1", deadline_s=LONG_S).same


def test_hang_of_a_child_ends_with_its_stacks(zygote):
    """What it hung on is in the detail."""
    got = confirm_forked(zygote, {"do": "hang"}, verdict="regressed", deadline_s=0.3)
    assert not got.answered
    assert "in _work" in got.detail
    assert confirm_forked(zygote, {"do": "count", "pid": 0}, verdict="count-1", deadline_s=LONG_S).same


def test_large_answer_arrives_whole(zygote):
    """A report may be longer than a pipe holds."""
    got = confirm_forked(zygote, {"do": "big"}, verdict="match", deadline_s=LONG_S)
    assert len(got.detail) == 1_000_000


def test_failure_to_prepare_is_told_each_time():
    """An app that can't be imported there confirms nothing."""

    def prepare():
        raise ImportError("no shop")

    zygote = Zygote(_work, prepare)
    got = [confirm_forked(zygote, {"do": "count"}, verdict="match", deadline_s=LONG_S).detail for _ in range(2)]
    zygote.close()
    assert got == ["the zygote failed: ImportError: no shop"] * 2


def test_dead_or_closed_zygote_gives_an_error():
    """Not a hang and not an exception."""
    zygote = Zygote(_work)
    os.kill(zygote.pid, signal.SIGKILL)
    assert not confirm_forked(zygote, {"do": "count"}, verdict="match", deadline_s=LONG_S).answered
    zygote.close()
    zygote.close()
    assert "died" in confirm_forked(zygote, {"do": "count"}, verdict="match", deadline_s=LONG_S).detail


@pytest.mark.skipif("not os.path.isdir('/proc/self/fd')", reason="descriptors are severed on Linux only")
def test_child_has_no_connection_of_its_parent():
    """A pool that was connected before the fork is dead in the child and alive here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near:
            zygote = Zygote(_work)
            zygote_far = far.fileno()
            got = confirm_forked(zygote, {"do": "send", "fd": zygote_far}, verdict="match", deadline_s=LONG_S)
            zygote.close()
            far.sendall(b"x")
            assert near.recv(10) == b"x"
        far.close()
    assert got.detail == "severed"


def test_thread_that_fork_would_lose_is_named():
    """An import-time worker would be missing in the child; the test run's own threads are not missed."""
    stop = threading.Event()
    app = threading.Thread(target=stop.wait, name="heartbeat")
    own = threading.Thread(target=stop.wait, name="fluxrun-deadline")
    app.start()
    own.start()
    found = lost_threads()
    stop.set()
    app.join()
    own.join()
    assert "heartbeat" in found
    assert "fluxrun-deadline" not in found


CONFTEST = """
import os
from pytest_fluxrun.execution.confirmation import write_answer

def pytest_runtest_makereport(item, call):
    if call.when == "call":
        write_answer("regressed" if call.excinfo else "match", item.name)
"""
TESTS = """
import os, time
def test_good(): pass
def test_bad(): assert 0
def test_crash(): os._exit(7)
def test_hang(): time.sleep(60)
def test_environment(): assert not [name for name in os.environ if name.startswith(("PYTEST_XDIST", "COV_CORE"))]
"""


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_x.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setenv("PYTHONPATH", str(Path(pytest_fluxrun.__file__).parent.parent))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


@pytest.mark.parametrize(("test", "verdict"), [("test_good", "match"), ("test_bad", "regressed")])
def test_fresh_process_runs_one_item(fresh, test, verdict):
    """The verdict comes from a pytest of its own; the project's cache and reports stay as they are."""
    got = confirm_fresh(f"test_x.py::{test}", fresh, verdict="regressed")
    assert got == Confirmation(how="fresh", verdict=verdict, detail=test, same=verdict == "regressed")
    assert not (fresh / ".pytest_cache").exists()


def test_fresh_process_inherits_no_plugin_s_variables(fresh, monkeypatch):
    """A worker's variables would make it believe that it is one."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("COV_CORE_SOURCE", "shop")
    assert confirm_fresh("test_x.py::test_environment", fresh, verdict="match").same


def test_fresh_process_writes_no_report(fresh, monkeypatch):
    """The outer session's JUnit file isn't overwritten, wherever the option came from."""
    (fresh / "report.xml").write_text("the outer one")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--junitxml=report.xml --lf")
    assert confirm_fresh("test_x.py::test_good", fresh, verdict="match").same
    assert (fresh / "report.xml").read_text() == "the outer one"


def test_crash_of_a_fresh_process_is_told(fresh):
    """With the end of what it said."""
    got = confirm_fresh("test_x.py::test_crash", fresh, verdict="match")
    assert not got.answered
    assert got.detail.startswith("the fresh process ended with 7 and gave no answer")


def test_unknown_node_is_told(fresh):
    """Pytest's own words are in the detail."""
    assert "not found" in confirm_fresh("test_x.py::test_none", fresh, verdict="match").detail


def test_hang_of_a_fresh_process_is_ended(fresh):
    """By real time, with all that it started."""
    got = confirm_fresh("test_x.py::test_hang", fresh, verdict="match", timeout_s=2)
    assert got.detail.startswith("the fresh process took longer than 2 s")


def test_options_of_known_plugins_are_overridden(fresh):
    """Only where the outer session has the plugin: an unknown option would be an error."""
    got = confirm_fresh("test_x.py::test_good", fresh, verdict="match", has_plugin=lambda name: name == "xdist")
    assert "unrecognized arguments: -n0" in got.detail


def test_confirmation_of_a_confirmation_is_refused(fresh, monkeypatch):
    """Or a process would start a process without end."""
    monkeypatch.setenv(OUTPUT_VARIABLE, str(fresh / "out.json"))
    assert is_confirming()
    with pytest.raises(FluxRunError, match="itself a confirmation"):
        confirm_fresh("test_x.py::test_good", fresh, verdict="match")


def test_answer_is_written_in_a_confirmation_only(tmp_path, monkeypatch):
    """Everywhere else the plugin may call it too."""
    write_answer("match", "nobody asked")
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path / "out.json"))
    write_answer("match", "asked")
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
