"""Greenlets carry a lane of their own; each case runs in a process of its own, for gevent can't be taken out again."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).parents[2]
_BEGINNING = """
import contextvars, json, logging, queue, sys, threading, time, _thread
import gevent, gevent.pool, gevent.threadpool
from pytest_fluxrun import registry
from pytest_fluxrun.context import LANE, entered
from pytest_fluxrun.recording.recorder import Recorder

logging.basicConfig(level="WARNING")
registry.install_seams()
run = Recorder("job", "function", lambda *_: None).lane

def lane(*_):
    lane = LANE.get()
    return None if lane is None else "/".join(f"{name.rsplit('.', 1)[-1]}#{number}" for name, number in lane.path)

def tell(**found):
    print(json.dumps({**found, "broken": registry.broken_boundaries()}))

"""
_PATCHED = "from gevent import monkey; monkey.patch_all()\n"


def _told(code: str, beginning: str = _BEGINNING) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", beginning + textwrap.dedent(code)], cwd=_REPOSITORY, capture_output=True, text=True,
        timeout=60, check=False, env={"PYTHONPATH": str(_REPOSITORY), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [] == told.pop("broken"), done.stderr
    return told


@pytest.mark.parametrize("patched", ["", _PATCHED], ids=["plain", "patched"])
def test_greenlets_get_lanes_in_the_order_of_spawning(patched: str):
    """spawn, spawn_later, pools, nested ones and subclasses; outside of runs none."""
    told = _told(
        """
        class Worker(gevent.Greenlet):
            def _run(self):
                return lane()

        def nested():
            return gevent.spawn(lane).get()

        with entered(run):
            made = [gevent.spawn(lane), gevent.spawn_later(0.001, lane), gevent.pool.Pool(2).spawn(lane)]
            worker = Worker()
            worker.start()
            lanes = [one.get() for one in made] + [worker.get(), gevent.spawn(nested).get()]
            mapped = gevent.pool.Pool(2).map(lane, range(3))
        tell(lanes=lanes, mapped=mapped, outside=gevent.spawn(lane).get())
        """,
        patched + _BEGINNING,
    )

    assert ["lane#1", "lane#2", "lane#3", "_run#1", "nested#1/lane#1"] == told["lanes"]
    assert 3 == len(set(told["mapped"]))
    assert told["outside"] is None


def test_jobs_of_real_threads_get_lanes():
    """Gevent's own pool of them, whose threads forget the run."""
    told = _told("""
        pool = gevent.threadpool.ThreadPool(1)
        with entered(run):
            lanes = [pool.spawn(lane).get(), pool.apply(lane), pool.apply(contextvars.copy_context().run, (lane,))]
        outside = pool.apply(lane)
        pool.kill()
        tell(lanes=lanes, outside=outside)
        """)

    assert {"lanes": ["lane#1", "lane#2", "lane#3"], "outside": None} == told


def test_context_that_somebody_gave_is_kept():
    """And gets the lane."""
    told = _told("""
        variable = contextvars.ContextVar("variable", default="unset")
        variable.set("given")
        greenlet = gevent.Greenlet(lambda: [variable.get(), lane()])
        with entered(run):
            greenlet.gr_context = contextvars.copy_context()
            greenlet.start()
        tell(given=greenlet.get(), other=gevent.spawn(variable.get).get())
        """)

    assert {"given": ["given", "<lambda>#1"], "other": "unset"} == told


def test_patched_threads_and_pools_get_lanes():
    """Thread, Timer, raw threads and executors are greenlets then; a lock or a sleep switches between them."""
    told = _told(
        """
        from concurrent.futures import ThreadPoolExecutor
        lanes = {}

        def work(name):
            time.sleep(0.001)
            lanes[name] = lane()

        with entered(run), ThreadPoolExecutor(2) as pool:
            threads = [threading.Thread(target=work, args=("thread",)), threading.Timer(0.001, work, ("timer",))]
            for thread in threads:
                thread.start()
            _thread.start_new_thread(work, ("raw",))
            lanes["pool"] = pool.submit(lane).result()
            for thread in threads:
                thread.join()
            while "raw" not in lanes:
                time.sleep(0.001)
            lanes["own"] = lane()
        tell(**lanes)
        """,
        _PATCHED + _BEGINNING,
    )

    assert {"thread": "work#1", "timer": "work#2", "raw": "work#3", "pool": "lane#1", "own": ""} == told


def test_only_a_patched_standard_library_is_refused():
    """By name, with what is patched."""
    code = "tell(why=registry.unreplayable(), runs=registry.unrecordable())"

    assert {"why": "", "runs": []} == _told(code)
    told = _told(code, _PATCHED + _BEGINNING)
    assert "gevent has patched time, threading, socket, select, queue: " in told["why"]
    assert [] == told["runs"]
