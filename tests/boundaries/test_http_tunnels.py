"""TLS through a proxy's tunnel, and TLS that nobody verifies, by urllib3 and requests as they are installed."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import requests
import urllib3
import urllib3.connectionpool

from pytest_fluxrun.boundaries import concurrent_futures, http_client, urllib3_future
from pytest_fluxrun.boundaries import urllib3 as urllib3_seams
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.testing.boundary import BoundaryContract
from tests.boundaries.conftest import HttpOutside

GENUINE = issubclass(urllib3.connectionpool.HTTPConnection, http.client.HTTPConnection)
BOUNDARY: Boundary[Any] = http_client.boundary if GENUINE else urllib3_future.boundary


class TunnelOutside(HttpOutside):
    """The server over TLS behind a proxy that tunnels to it, and refuses all other hosts.

    Attributes:
        proxy: the proxy's URL.
    """

    def __init__(self) -> None:
        super().__init__()
        self.target = self.secure.removeprefix("https://")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.proxy = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            asked = head.split(b" ")[1].decode()
            if asked != self.target:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            host, port = asked.split(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join(5)

    def take_away(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(5)
        super().take_away()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def over_urllib3(path: str, host: str = "") -> Callable[[TunnelOutside], Any]:
    """GET through the tunnel."""

    def exercise(outside: TunnelOutside) -> Any:
        url = f"https://{host}" if host else outside.secure
        with urllib3.ProxyManager(outside.proxy, retries=False, timeout=5, ca_certs=outside.ca_file) as pool:
            return [pool.request("GET", f"{url}{path}").data for _ in range(2)]

    return exercise


def over_requests(path: str, host: str = "") -> Callable[[TunnelOutside], Any]:
    """POST through the tunnel."""

    def exercise(outside: TunnelOutside) -> Any:
        url = f"https://{host}" if host else outside.secure
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = {"https": outside.proxy}
            return session.post(f"{url}{path}", data=b"asked", verify=outside.ca_file, timeout=5).content

    return exercise


def untrusted(outside: TunnelOutside) -> Any:
    """A tunnel to a server whose certificate nobody signed that is trusted."""
    with urllib3.ProxyManager(outside.proxy, retries=False, timeout=5, cert_reqs="CERT_REQUIRED") as pool:
        return pool.request("GET", f"{outside.secure}/json").status


def unverified(outside: TunnelOutside) -> Any:
    """The library warns."""
    with requests.Session() as session:
        session.trust_env = False
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning) as warned:
            content = session.get(f"{outside.secure}/json", verify=False, timeout=5).content
    return [content, len(warned)]


class TestTunnels(BoundaryContract):
    """Proxies and certificates."""

    boundary = BOUNDARY
    carriers = (concurrent_futures.boundary, urllib3_seams.boundary)
    exercises: ClassVar = {
        "urllib3": over_urllib3("/json"),
        "urllib3-denied": over_urllib3("/json", "elsewhere.example"),
        "requests": over_requests("/echo"),
        "requests-denied": over_requests("/echo", "elsewhere.example"),
        "untrusted": untrusted,
        "unverified": unverified,
    }
    unreached: ClassVar = frozenset({"urllib3-denied", "requests-denied", "untrusted"})

    @pytest.fixture
    def outside(self) -> Iterator[TunnelOutside]:
        found = TunnelOutside()
        yield found
        found.take_away()
