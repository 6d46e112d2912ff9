"""Which threads a fork would lose: those of C libraries that end at a fork by themselves aren't among them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def lost(code: str) -> str:
    """What a fresh process says after running some code, with four threads for OpenBLAS."""
    asked = "from pytest_fluxrun.execution.zygote import lost_threads\nprint(lost_threads())"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{asked}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "4"},
    )
    return done.stdout.strip()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="native threads are counted on Linux alone")
def test_pool_of_openblas_is_no_thread_that_a_fork_loses():
    """It ends before a fork and begins anew after it; pytest-randomly imports numpy wherever that is installed."""
    started = "import numpy, os\nassert len(os.listdir('/proc/self/task')) > 1"
    assert "()" == lost(started)
    assert "()" == lost(f"{started}\nnumpy.ones((300, 300)) @ numpy.ones((300, 300))")


def test_thread_of_the_app_is_one():
    """Named."""
    started = "import threading\nthreading.Thread(target=threading.Event().wait, name='mine', daemon=True).start()"
    assert "('mine',)" == lost(started)


def test_thread_of_a_plugin_of_the_session_is_none():
    """pytest-rerunfailures serves xdist's workers from one, which waits for them and holds nothing."""
    assert "()" == lost("import pytest_rerunfailures\nserver = pytest_rerunfailures.ServerStatusDB()")
