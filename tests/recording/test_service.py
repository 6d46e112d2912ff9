"""Recording as a process has it: real keys, a real directory, processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.bundle import Algorithm, Producer, ProjectKey, Recipient, Token, Trust, open_bundle, write_trust
from pytest_fluxrun.run import Run

JOBS = """
import os, sys, threading, asyncio
import pytest_fluxrun as fluxrun
from pytest_fluxrun.recording.service import recording_status

fluxrun.init(**{settings!r})

@fluxrun.capture("job")
def job(fail, keep=False):
    if keep:
        fluxrun.keep()
    if fail:
        raise ValueError(f"failed {{fail}}")
    return os.environ.get("MODE")

@fluxrun.capture("task")
async def task(fail):
    await asyncio.sleep(0)
    return job(fail)

def attempt(*args, **kwargs):
    try:
        return job(*args, **kwargs)
    except ValueError as error:
        return str(error)
"""


@dataclass
class Producing:
    """A project whose process records."""

    root: Path
    key: ProjectKey
    trust: Trust
    token: Token

    def run(self, code: str, *, settings: dict[str, Any] | None = None, **environment: str) -> tuple[str, str]:
        """Run code after `JOBS`: its standard output and error."""
        given = {"FLUXRUN_TOKEN": self.token.to_text(), **environment}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c",
             JOBS.format(settings={"project": "shop", **(settings or {})}) + textwrap.dedent(code)],
            cwd=self.root, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **given},
        )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        return done.stdout, done.stderr

    @property
    def runs(self) -> list[Run]:
        """What is in the store, opened, by time."""
        bundles = [path.read_bytes() for path in sorted((self.root / "runs").glob("*.fluxrun"))]
        payloads = [open_bundle(data, keys=(self.key,), trust=self.trust)[1] for data in bundles]
        return sorted(map(Run.from_payload, payloads), key=lambda run: run.recording.wall_ns)


@pytest.fixture
def producing(tmp_path: Path) -> Producing:
    key, token = ProjectKey.generate(Algorithm.X25519), Token.generate()
    trust = Trust("shop", (Recipient(key.public),), (Producer.of(token),))
    write_trust(tmp_path / "fluxrun-trust.toml", trust)
    (tmp_path / "runs").mkdir()
    return Producing(tmp_path, key, trust, token)


def messages(runs: list[Run]) -> list[str]:
    return sorted((run.outcome["error"] or {}).get("message", "") for run in runs)


def test_failures_and_what_is_kept_by_hand_are_stored(producing: Producing):
    """A success is let go; the exit flushes without being asked."""
    producing.run("attempt(''); attempt('one'); attempt('', keep=True)", MODE="test")

    failed, kept = producing.runs
    assert ("failed one", "test") == (failed.outcome["error"]["message"], kept.outcome["returned"])
    assert ("job", "function", "recorded") == (failed.entry, failed.entry_kind, failed.readiness.state)
    assert {"MODE": ["test"]} == kept.recording.reads["environment"]


def test_flush_and_status_tell_what_was_stored(producing: Producing):
    """After a flush the bundle is there."""
    shown, _ = producing.run("""
        attempt("one")
        print(fluxrun.flush(10), len(os.listdir("runs")), recording_status())
    """)
    assert "True 1 {'stored': 1}" == shown.strip()


def test_captured_call_in_a_captured_call_is_one_run(producing: Producing):
    """The task's error is the job's; one bundle."""
    producing.run("""
        try:
            asyncio.run(task("x"))
        except ValueError:
            pass
    """)
    assert ["task"] == [run.entry for run in producing.runs]


def test_concurrent_runs_are_each_stored_with_their_own_outcome(producing: Producing):
    """Forty runs in threads and tasks at once."""
    producing.run("""
        threads = [threading.Thread(target=attempt, args=(f"thread {n}",)) for n in range(20)]
        for thread in threads:
            thread.start()
        async def all():
            await asyncio.gather(*(task(f"task {n}") for n in range(20)), return_exceptions=True)
        asyncio.run(all())
        for thread in threads:
            thread.join()
    """)
    expected = sorted(f"failed {kind} {n}" for kind in ("thread", "task") for n in range(20))
    assert expected == messages(producing.runs)


def test_a_worker_forked_long_after_the_import_has_a_start_up_of_its_own(producing: Producing):
    """What the master does hours later is nobody's start-up; what the worker does before its first run is its own."""
    producing.run("""
        import time
        from pytest_fluxrun.recording import recorder
        os.environ.get("AT_IMPORT")
        recorder._LONGEST_PREAMBLE_NS = 300_000_000
        time.sleep(0.4)
        os.environ.get("HOURS_LATER")
        if os.fork() == 0:
            os.environ.get("AT_WORKER_START")
            attempt("", keep=True)
            assert fluxrun.flush(10)
            os._exit(0)
        os.wait()
    """)
    (run,) = producing.runs
    assert run.preamble is not None
    read = {*run.preamble.reads["environment"]} & {"AT_IMPORT", "HOURS_LATER", "AT_WORKER_START"}
    assert {"AT_IMPORT", "AT_WORKER_START"} == read


def test_forked_child_records_for_itself(producing: Producing):
    """Queued before the fork: written once, by the parent; after it: by each for itself."""
    producing.run("""
        attempt("before")
        child = os.fork()
        attempt("child" if child == 0 else "parent")
        assert fluxrun.flush(10)
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)
    assert ["failed before", "failed child", "failed parent"] == messages(producing.runs)
    assert 3 == len({run.id for run in producing.runs})


def test_disabled_patches_nothing(producing: Producing):
    """Off means off."""
    shown, _ = producing.run(
        "from pytest_fluxrun import patching; attempt('x')\n"
        "print(patching.installed(), fluxrun.flush(1), recording_status())",
        FLUXRUN_DISABLED="1",
    )
    assert "() True {}" == shown.strip()
    assert [] == producing.runs


def test_dry_run_prints_and_stores_nothing(producing: Producing):
    """Neither token nor keys are needed."""
    _, errors = producing.run("attempt('x')", FLUXRUN_DRY_RUN="1", FLUXRUN_TOKEN="")
    assert "dry run: would keep job" in errors
    assert "(raised)" in errors
    assert [] == producing.runs


def test_without_a_token_it_says_so_once_and_records_nothing(producing: Producing):
    """The app runs on."""
    shown, errors = producing.run("print(attempt('x'))", FLUXRUN_TOKEN="")
    assert ("failed x", 1) == (shown.strip(), errors.count("there is no token"))
    assert [] == producing.runs


def test_store_that_fails_is_counted_and_logged_once(producing: Producing):
    """The host notices nothing."""
    (producing.root / "file").write_text("no directory")
    shown, errors = producing.run(
        """
        print(attempt("1"), attempt("2"))
        fluxrun.flush(10)
        print(sum(recording_status().values()), recording_status()["stored"])
        """,
        settings={"store": "file/runs"},
    )
    assert ["failed 1 failed 2", "2 0"] == shown.splitlines()
    assert 1 == errors.count("FluxRun dropped a run")


def test_object_that_fails_while_it_is_dumped_costs_its_run_only(producing: Producing):
    """Also one that raises SystemExit on the writer's thread."""
    shown, _ = producing.run("""
        from pytest_fluxrun.entry import Ending, open_run
        from pytest_fluxrun.entries.function import entry
        for error in (RuntimeError, SystemExit):
            def dump(error=error):
                raise error("dump")
            open_run("job", entry).finish(Ending(dump=dump, error=ValueError()))
        attempt("after")
        assert fluxrun.flush(10)
        print(recording_status())
    """)
    assert "{'stored': 1, 'dump-failed': 1, 'write-failed': 1}" == shown.strip()
    assert ["failed after"] == messages(producing.runs)


def test_pending_runs_are_bounded(producing: Producing):
    """What a slow store can't take is dropped by number, and counted."""
    shown, _ = producing.run(
        """
        from pytest_fluxrun.recording import service
        go_on = threading.Event()
        store = service._service.sealer.store
        def slow(*args, **given):
            go_on.wait(10)
            store(*args, **given)
        service._service.sealer.store = slow
        for number in range(10):
            attempt(str(number))
        go_on.set()
        assert fluxrun.flush(10)
        print(recording_status())
        """,
        settings={"max_pending_runs": 3},
    )
    assert "{'stored': 3, 'pending-runs': 7}" == shown.strip()


def test_init_under_pytest_records_nothing():
    """A team's own tests provoke errors all day."""
    import pytest_fluxrun as fluxrun
    from pytest_fluxrun.config import use_settings
    from pytest_fluxrun.recording.service import recording_status

    try:
        fluxrun.init(project="shop")
        assert {} == recording_status()
    finally:
        use_settings(None)


SCHEDULER = """
class Clock:
    def tick(self, secret):
        return secret

clock = fluxrun.host("clock-tower", Clock())

def lost(times):
    thread = threading.Thread(target=lambda: [clock.tick("value") for _ in range(times)], name="scheduler")
    thread.start()
    thread.join()
"""


def test_kept_run_tells_which_calls_reached_no_run(producing: Producing):
    """Since the kept run before; what start-up does before the first run is none of them."""
    shown, _ = producing.run(
        SCHEDULER
        + textwrap.dedent("""
        lost(1)  # of the preamble
        attempt("one"); fluxrun.flush(10)
        lost(2)
        attempt(""); attempt("two"); fluxrun.flush(10)
        attempt("three"); fluxrun.flush(10)
        print(recording_status())
        """)
    )

    first, second, third = producing.runs
    (orphan,) = second.orphans
    assert ((), ()) == (first.orphans, third.orphans)
    assert ("host:clock-tower", "clock-tower.tick", "scheduler", 2) == (
        orphan.boundary,
        orphan.call,
        orphan.thread,
        orphan.count,
    )
    assert "value" not in repr(orphan)
    assert "{'stored': 3, 'orphans': 2}" == shown.strip()


def test_child_forked_in_a_run_belongs_to_no_run(producing: Producing):
    """What it does is kept by nobody, and looks so; the parent's run stays whole."""
    shown, _ = producing.run(
        SCHEDULER
        + textwrap.dedent("""
        @fluxrun.capture("forking")
        def forking():
            child = os.fork()
            if not child:
                clock.tick("in the child")
                print("child", recording_status()["orphans"], flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            clock.tick("in the parent")
            raise ValueError("failed")
        try:
            forking()
        except ValueError:
            pass
        fluxrun.flush(10)
        print("parent", recording_status())
        """)
    )

    (run,) = producing.runs
    assert ["child 1", "parent {'stored': 1}"] == shown.splitlines()
    assert ["in the parent"] == [interaction.answer["value"] for interaction in run.recording.interactions]
    assert () == run.orphans
