"""Probes of the network: nothing may reach a server in another process, and every attempt must be kept."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ftplib
import gc
import http.client
import multiprocessing.connection
import os
import smtplib
import socket
import ssl
import struct
import threading
import urllib.request
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests

from pytest_fluxrun.context import Lane, entered
from pytest_fluxrun.errors import LeakedCall
from pytest_fluxrun.fence import Fence


class _Session:
    clock = None
    preamble = False

    def ambient_for(self, lane):
        return None


async def _open_stream(address):
    await asyncio.open_connection(*address)


async def _sock_connect(address):
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)


async def _unix_stream(path):
    await asyncio.open_unix_connection(path)


async def _datagrams(address):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    try:
        transport.sendto(b"metric", address)
    finally:
        transport.close()


def _connect(family, address):
    with socket.socket(family) as sock:
        sock.connect(address)


def _connect_ex(address):
    with socket.socket() as sock:
        sock.connect_ex(address)


def _datagram(address, method):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if method == "sendmsg":
            sock.sendmsg([b"metric"], [], 0, address)
        else:
            sock.sendto(b"metric", address)


def _in_pool(function, *args):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function, *args).result()


def _via_low_level_module(address):
    import _socket

    sock = _socket.socket()
    try:
        sock.connect(address)
    finally:
        sock.close()


NEW_CONNECTIONS = {
    "socket.connect": lambda o: _connect(socket.AF_INET, o.tcp),
    "socket.connect_ex": lambda o: _connect_ex(o.tcp),
    "socket.create_connection": lambda o: socket.create_connection(o.tcp),
    "_socket.connect": lambda o: _via_low_level_module(o.tcp),
    "named unix socket": lambda o: _connect(socket.AF_UNIX, o.unix),
    "multiprocessing client": lambda o: multiprocessing.connection.Client(o.unix),
    "udp sendto": lambda o: _datagram(o.udp, "sendto"),
    "udp sendmsg": lambda o: _datagram(o.udp, "sendmsg"),
    "http.client": lambda o: http.client.HTTPConnection(*o.tcp).request("POST", "/", b"x"),
    "http.client TLS": lambda o: http.client.HTTPSConnection(*o.tcp).request("GET", "/"),
    "urllib": lambda o: urllib.request.urlopen(o.url),
    "requests": lambda o: requests.get(o.url, timeout=2),
    "httpx": lambda o: httpx.Client(trust_env=False).get(o.url),
    "smtplib": lambda o: smtplib.SMTP(*o.tcp, local_hostname="here"),
    "ftplib": lambda o: ftplib.FTP().connect(*o.tcp),
    "xmlrpc": lambda o: xmlrpc.client.ServerProxy(o.url).ping(),
    "asyncio streams": lambda o: asyncio.run(_open_stream(o.tcp)),
    "asyncio sock_connect": lambda o: asyncio.run(_sock_connect(o.tcp)),
    "asyncio unix": lambda o: asyncio.run(_unix_stream(o.unix)),
    "asyncio datagrams": lambda o: asyncio.run(_datagrams(o.udp)),
    "in a pool": lambda o: _in_pool(socket.create_connection, o.tcp),
}


@pytest.mark.parametrize("name", NEW_CONNECTIONS)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_new_connection_is_blocked_and_kept(name, outside):
    """Whatever the library, nothing arrives and the attempt is kept; what half-open objects warn of is theirs."""
    before = outside.hits()
    with Fence() as fence, contextlib.suppress(Exception):
        NEW_CONNECTIONS[name](outside)
    gc.collect()
    assert outside.hits() == before
    assert fence.attempts


@pytest.mark.parametrize(
    "look_up",
    [
        lambda: socket.getaddrinfo("payments.invalid", 443),
        lambda: socket.gethostbyname("payments.invalid"),
        lambda: socket.gethostbyaddr("127.0.0.1"),
        lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    ],
)
def test_name_look_up_is_blocked(look_up):
    """A look-up asks a server outside."""
    with Fence() as fence, pytest.raises(LeakedCall):
        look_up()
    assert len(fence.attempts) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", None])
def test_look_up_that_asks_nobody_is_left_alone(host):
    """Numbers, localhost and the wildcard are answered on the machine itself."""
    with Fence() as fence:
        assert socket.getaddrinfo(host, 80)
    assert fence.attempts == ()


SENDS = {
    "send": lambda sock, _: sock.send(b"x"),
    "sendall": lambda sock, _: sock.sendall(b"x"),
    "sendmsg": lambda sock, _: sock.sendmsg([b"x"]),
    "sendto": lambda sock, address: sock.sendto(b"x", address),
}


@pytest.mark.parametrize("name", SENDS)
def test_send_on_open_connection_is_blocked_and_kept(name, outside):
    """A pooled connection from before the replay sends nothing, and works again after it."""
    with outside.connected() as sock:
        before = outside.hits()
        with Fence() as fence, pytest.raises(LeakedCall):
            SENDS[name](sock, outside.tcp)
        assert outside.hits() == before
        assert len(fence.attempts) == 1
        sock.sendall(b"after")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_send_on_open_named_unix_connection_is_blocked(outside):
    """A database's or daemon's socket on this machine leads outside too."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(outside.unix)
        before = outside.hits()
        with Fence() as fence, pytest.raises(LeakedCall):
            sock.sendall(b"x")
        assert outside.hits() == before
        assert len(fence.attempts) == 1


def test_connected_datagram_socket_is_blocked(outside):
    """A statsd client keeps a connected socket and never connects again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(outside.udp)
        before = outside.hits()
        with Fence() as fence, pytest.raises(LeakedCall):
            sock.send(b"metric")
        assert outside.hits() == before
        assert len(fence.attempts) == 1


@pytest.mark.skipif("descriptors" not in Fence.layers, reason="dead ends are laid on Linux only")
@pytest.mark.parametrize("way", ["os.write", "libc send", "os.sendfile", "_socket send"])
def test_raw_descriptor_of_open_connection_is_dead(way, outside, tmp_path):
    """What a C driver does on its descriptor fails with a broken pipe, unseen by any Python seam."""
    page = tmp_path / "page"
    page.write_bytes(b"payload")
    libc = ctypes.CDLL(None, use_errno=True)
    with outside.connected() as sock, page.open("rb") as source:
        fd = sock.fileno()
        before = outside.hits()
        ways = {
            "os.write": lambda: os.write(fd, b"x"),
            "os.sendfile": lambda: os.sendfile(fd, source.fileno(), 0, 7),
            "_socket send": lambda: socket.socket.__base__.send(sock, b"x"),
        }
        with Fence():
            if way == "libc send":
                assert libc.send(fd, b"x", 1, 0x4000) == -1
            else:
                with pytest.raises(BrokenPipeError):
                    ways[way]()
        assert outside.hits() == before
        sock.sendall(b"after")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_kept_alive_http_connection_is_blocked(outside):
    """A keep-alive client doesn't connect again, and must not send either."""
    connection = http.client.HTTPConnection(*outside.tcp)
    connection.request("GET", "/")
    connection.getresponse().read()
    before = outside.hits()
    with Fence() as fence, pytest.raises(LeakedCall):
        connection.request("POST", "/charge", b"1200")
    connection.close()
    assert outside.hits() == before
    assert fence.attempts


def test_receive_is_refused_in_the_run_only(outside):
    """The run may not read from the live world; another thread's pending read is its own affair."""
    with outside.connected() as sock, Fence() as fence:
        sock.setblocking(False)
        assert sock.recv(1) == b""
        with entered(Lane(_Session())), pytest.raises(LeakedCall):
            sock.recv(1)
    assert [attempt.in_run for attempt in fence.attempts] == [True]


def test_tls_over_memory_is_refused_in_the_run():
    """A loop in C that encrypts through Python is seen there."""
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="pay.example")
    with Fence() as fence, entered(Lane(_Session())), pytest.raises(LeakedCall):
        tls.write(b"x")
    assert fence.attempts[0].target == "pay.example"


def test_pairs_and_pipes_keep_working():
    """What stays in the process is nobody's side effect: asyncio's self-pipe, socket pairs."""
    near, far = socket.socketpair()
    with near, far, Fence() as fence:
        near.sendall(b"x")
        assert far.recv(1) == b"x"
        inner, other = socket.socketpair()
        with inner, other:
            inner.sendmsg([b"y"])
            assert other.recv(1) == b"y"
        asyncio.run(asyncio.to_thread(lambda: None))
    assert fence.attempts == ()


def test_listening_leads_nowhere_by_itself():
    """An app that opens a port for its metrics while it boots has changed nothing outside."""
    with Fence() as fence, socket.create_server(("127.0.0.1", 0)):
        pass
    assert fence.attempts == ()


@pytest.mark.skipif("descriptors" not in Fence.layers, reason="layout of sockaddr_in as on Linux")
def test_connect_by_c_code_is_a_known_limit(outside):
    """Layers 1 and 2 don't see a C library that opens and connects a socket of its own; the kernel's layers do."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", outside.tcp[1], socket.inet_aton("127.0.0.1"))
    before = outside.hits()
    with Fence() as fence:
        fd = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert libc.connect(fd, address, len(address)) == 0
        os.close(fd)
    assert outside.hits() == before + 1
    assert fence.attempts == ()


def test_attempt_on_a_thread_from_before_is_kept(outside):
    """A worker that the app started at import is fenced as well, and named."""
    go, done, errors = threading.Event(), threading.Event(), []

    def work():
        go.wait(10)
        try:
            socket.create_connection(outside.tcp)
        except LeakedCall as error:
            errors.append(error)
        done.set()

    thread = threading.Thread(target=work, name="beat")
    thread.start()
    with Fence() as fence:
        go.set()
        assert done.wait(10)
    thread.join()
    assert [attempt.thread for attempt in fence.attempts] == ["beat"]
    assert len(errors) == 1
