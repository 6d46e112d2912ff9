"""A project with tasks in a directory: its workers run for real, then pytest replays what they recorded.

Holds no assertion about FluxRun.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.plugin.kiosk import Kiosk

_TIMEOUT_S = 60
_LONGEST_S = 300
"""After which a database is free again whose test has died."""


class Worker:
    """A worker's process, its output in a file."""

    def __init__(self, kiosk: Kiosk, arguments: tuple[str, ...], variables: dict[str, str]) -> None:
        self.log = kiosk.root.parent / "worker.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=kiosk.root,
                env=kiosk.environment(**kiosk.recording, **variables),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, count: int = 1) -> None:
        """Until its output holds a text so many times."""
        end = time.monotonic() + _TIMEOUT_S
        while self.output.count(text) < count:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{text!r} didn't come {count} times:\n{self.output}")
            time.sleep(0.05)

    def wait(self) -> int:
        """Until it has ended by itself; its exit code."""
        return self.process.wait(_TIMEOUT_S)

    def terminate(self) -> int:
        """Ask it to end, as a deployment does, and wait for that."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def running(kiosk: Kiosk, *arguments: str, **variables: str) -> Iterator[Worker]:
    """A worker's process for the block; it is gone afterwards whatever happens."""
    worker = Worker(kiosk, arguments, variables)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait(_TIMEOUT_S)


@contextmanager
def redis_database(port: int, number: int) -> Iterator[str]:
    """The URL of a database of a Redis server, this block's alone among all test processes; it is empty before it."""
    url = f"redis://127.0.0.1:{port}"
    with (
        redis.Redis.from_url(f"{url}/0") as locks,
        locks.lock(f"fluxrun-tests-database-{number}", timeout=_LONGEST_S),
        redis.Redis.from_url(f"{url}/{number}") as client,
    ):
        client.flushdb()
        yield f"{url}/{number}"
        client.flushdb()
