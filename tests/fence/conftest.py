"""A server outside: another process that counts whatever reaches it by TCP, UDP or a named UNIX socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_SERVER = r"""
import json, selectors, socket, sys, threading
folder = sys.argv[1]
hits = 0
tcp = socket.create_server(("127.0.0.1", 0), backlog=128)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX); unix.bind(folder + "/outside.sock"); unix.listen(128)
pick = selectors.DefaultSelector()
for each in (tcp, udp, unix, sys.stdin): pick.register(each, selectors.EVENT_READ)
for each in (tcp, udp, unix): each.setblocking(False)
def turn(timeout):
    global hits
    asked = False
    ready = [key.fileobj for key, _ in pick.select(timeout)]
    for each in ready:
        if each is sys.stdin: asked = True
        elif each in (tcp, unix):
            hits += 1; peer, _ = each.accept(); pick.register(peer, selectors.EVENT_READ)
        elif each is udp: udp.recv(65536); hits += 1
        else:
            try: data = each.recv(65536)
            except OSError: data = b""
            if data:
                hits += 1
                each.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else: pick.unregister(each); each.close()
    return asked, [each for each in ready if each is not sys.stdin]
print(json.dumps([tcp.getsockname()[1], udp.getsockname()[1]]), flush=True)
while True:
    asked, _ = turn(None)
    if asked:
        if not sys.stdin.readline(): break
        while turn(0)[1]: pass
        print(hits, flush=True)
"""


@dataclass(frozen=True)
class Outside:
    """Where the server listens, and what has reached it."""

    process: subprocess.Popen[str]
    tcp: tuple[str, int]
    udp: tuple[str, int]
    unix: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.tcp[1]}/"

    def hits(self) -> int:
        """Connections, chunks and datagrams so far."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def connected(self) -> socket.socket:
        """A connection that has been used: what a pool holds."""
        sock = socket.create_connection(self.tcp)
        sock.sendall(b"before")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        return sock


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    with subprocess.Popen(
        [sys.executable, "-S", "-c", _SERVER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        tcp, udp = json.loads(process.stdout.readline())
        yield Outside(process, ("127.0.0.1", tcp), ("127.0.0.1", udp), f"{folder}/outside.sock")
        process.stdin.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, the current directory of the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
