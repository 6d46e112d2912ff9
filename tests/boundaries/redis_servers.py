"""Redis servers of a test's own on 127.0.0.1: with a password, TLS, a socket in a folder; a cluster of one."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["PASSWORD", "OwnServer", "cluster", "own_server", "sentinel"]

PASSWORD = "hunter-" + "2" * 6
_STARTS_WITHIN_S = 10


class OwnServer:
    """A server's process; `stop` ends it before the test does."""

    def __init__(self, folder: Path, port: int, arguments: list[str]) -> None:
        self.folder = folder
        self.port = port
        self.process = subprocess.Popen(
            ["redis-server", *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _STARTS_WITHIN_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            if time.monotonic() > end:
                raise AssertionError("the server didn't start")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and wait for that."""
        self.process.terminate()
        self.process.wait(_STARTS_WITHIN_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(folder: Path, port: int, *arguments: str) -> Iterator[OwnServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    server = OwnServer(folder, port, [*arguments])
    try:
        yield server
    finally:
        server.stop()


def own_server(folder: Path, *arguments: str) -> contextlib.AbstractContextManager[OwnServer]:
    """One that keeps nothing; `arguments` are more of redis-server's."""
    port = _free_port()
    return _running(folder, port, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *arguments)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[OwnServer]:
    """A cluster of one node, which has all slots."""
    port = _free_port() % 50_000 + 1024
    node = ("--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
    with _running(folder, port, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *node) as server:
        ask = ["redis-cli", "-p", str(port), "cluster"]
        subprocess.run([*ask, "addslotsrange", "0", "16383"], check=True, capture_output=True)
        while b"cluster_state:ok" not in subprocess.run([*ask, "info"], check=True, capture_output=True).stdout:
            time.sleep(0.02)
        yield server


@contextlib.contextmanager
def sentinel(folder: Path, primary: int) -> Iterator[OwnServer]:
    """A Sentinel that watches one primary, by the name of `primary`."""
    port = _free_port()
    settings = folder / "sentinel.conf"
    settings.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor primary 127.0.0.1 {primary} 1\n")
    with _running(folder, port, str(settings), "--sentinel") as server:
        yield server
