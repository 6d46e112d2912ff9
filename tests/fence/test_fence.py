"""The fence as a whole: what it tells, how it comes down, and what it leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import threading
import types

import pytest

from pytest_fluxrun.errors import FluxRunError, LeakedCall
from pytest_fluxrun.fence import Fence, baseline, descriptors, sever
from pytest_fluxrun.fence.methods import _SOCKET, MethodSeams

on_linux = pytest.mark.skipif("descriptors" not in Fence.layers, reason="dead ends are laid on Linux only")


def _code(source, *, module, path):
    """Functions as a library installed at that path would hold them."""
    library = types.ModuleType(module)
    exec(compile(source, path, "exec"), vars(library))
    return library


def _library(name, folder):
    source = "import socket\ndef connect(address):\n    return socket.create_connection(address)\n"
    return _code(source, module=f"{name}.client", path=f"{folder}/site-packages/{name}/client.py")


def test_swallowing_the_error_changes_nothing(outside):
    """The attempt is kept out of band, with the place, the library and the missing boundary."""
    told = []
    library = _library("psycopg", "/venv")
    with Fence(on_blocked=told.append) as fence, contextlib.suppress(Exception):
        library.connect(outside.tcp)
    (attempt,) = fence.attempts
    assert told == [attempt]
    assert attempt.event == "socket.connect"
    assert attempt.target == f"127.0.0.1:{outside.tcp[1]}"
    assert attempt.where.rpartition(":")[0].endswith("test_fence.py")
    assert attempt.missing == "psycopg: no boundary covers it"
    assert not attempt.in_run


def test_outermost_standard_module_is_named_where_no_library_is():
    """What the app called is what the reader knows."""
    import smtplib

    with Fence() as fence, pytest.raises(LeakedCall):
        smtplib.SMTP("127.0.0.1", 25, local_hostname="here")
    assert fence.attempts[0].library == "smtplib"


def test_test_run_s_own_machinery_is_left_alone(outside):
    """A debugger's own connection, made on its own frames, isn't the app's doing."""
    debugger = _library("debugpy", "/venv")
    with Fence() as fence:
        debugger.connect(outside.tcp).close()
    assert fence.attempts == ()


def test_machinery_below_the_app_s_frames_does_not_excuse_it(outside):
    """In an xdist worker everything on the main thread runs below execnet's frames."""
    execnet = _code("def serve(f):\n    return f()\n", module="execnet.gateway", path="/v/site-packages/execnet/g.py")
    with Fence() as fence, pytest.raises(LeakedCall):
        execnet.serve(lambda: socket.create_connection(outside.tcp))
    assert len(fence.attempts) == 1


def test_sockets_from_before_the_app_are_kept(outside):
    """What was open when the plugin loaded belongs to the test run: it works during the fence."""
    with outside.connected() as sock, Fence(keep=baseline()) as fence:
        sock.sendall(b"report")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert fence.attempts == ()


def test_everything_is_as_before_after_an_error():
    """An error in the block takes the fence down like a normal end."""
    before = {name: vars(_SOCKET).get(name) for name in dir(_SOCKET)}
    with pytest.raises(ZeroDivisionError), Fence():
        1 / 0  # noqa: B018
    assert {name: vars(_SOCKET).get(name) for name in dir(_SOCKET)} == before
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_method_kept_from_inside_is_harmless_afterwards(outside):
    """An object that stored a bound method during the replay works when the fence is down."""
    with outside.connected() as sock:
        with Fence():
            send = sock.send
        assert send(b"x") == 1


def test_patch_set_on_top_is_left_alone(monkeypatch):
    """What another plugin put on during the fence isn't overwritten on the way out."""

    def other(self, *args):
        return None

    seams = MethodSeams()
    seams.set()
    monkeypatch.setattr(_SOCKET, "send", other, raising=False)
    seams.restore()
    assert vars(_SOCKET)["send"] is other


def test_inner_fence_leaves_the_outer_one_up(outside):
    """An app's boot inside an item is fenced by itself, and the item's fence holds on."""
    with Fence() as outer:
        with Fence() as inner, pytest.raises(LeakedCall):
            socket.create_connection(outside.tcp)
        with pytest.raises(LeakedCall):
            socket.create_connection(outside.tcp)
    assert [len(inner.attempts), len(outer.attempts)] == [1, 1]


@on_linux
def test_server_loop_serves_on_after_the_fence(outside):
    """An idle asyncio connection keeps its registration, its data word, and its turn."""

    async def main():
        reader, writer = await asyncio.open_connection(*outside.tcp)
        for _ in range(2):
            writer.write(b"x")
            assert (await reader.read(100)).startswith(b"HTTP/1.1 200")
            with Fence() as fence:
                await asyncio.sleep(0)
            assert fence.attempts == ()
            assert fence.lost == ()
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


@on_linux
def test_connection_with_both_ends_in_here_is_spared():
    """A live-server fixture's keep-alive connection leads nowhere, and its thread goes on undisturbed."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far, Fence():
            assert os.write(near.fileno(), b"x") == 1
            assert os.read(far.fileno(), 1) == b"x"


@on_linux
def test_connection_that_the_run_closed_is_reported_lost(outside):
    """Its number is never given back, since somebody else may have it by then."""
    sock = outside.connected()
    fd = sock.fileno()
    with Fence() as fence:
        sock.close()
        other = os.open(os.devnull, os.O_RDONLY)
        assert other == fd
    assert fence.lost == (fd,)
    assert os.fstat(other).st_rdev == os.stat(os.devnull).st_rdev
    os.close(other)


@on_linux
def test_too_few_descriptors_is_an_error_and_no_half_fence(outside, monkeypatch):
    """Nothing is fenced then, so that nothing can be replayed by mistake."""
    monkeypatch.setattr(descriptors, "_FLOOR", 1 << 30)
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (1 << 31, 1 << 31))
    with outside.connected() as sock:
        with pytest.raises(FluxRunError, match="setting open connections aside"), Fence():
            pass
        sock.sendall(b"x")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


@on_linux
@pytest.mark.parametrize("watched", [False, True], ids=["alone", "in an epoll set"])
def test_connection_that_closes_while_the_fence_goes_up_is_none(outside, monkeypatch, watched):
    """A thread of the app may close one at any time; the others are set aside all the same, and come back."""
    leading_outside = descriptors._leading_outside
    with outside.connected() as closing, outside.connected() as staying, select.epoll() as epoll:
        if watched:
            epoll.register(closing)
        fds = closing.fileno(), staying.fileno()

        def found_and_closed(*args):
            found = leading_outside(*args)
            closing.close()
            return found

        monkeypatch.setattr(descriptors, "_leading_outside", found_and_closed)
        with Fence() as fence:
            assert [False, True] == [fd in fence._rules.killed for fd in fds]
            with pytest.raises(OSError, match=r"ENOTCONN|not connected|Broken pipe"):
                os.write(fds[1], b"x")
        monkeypatch.undo()
        staying.sendall(b"x")
        assert staying.recv(100).startswith(b"HTTP/1.1 200")


@on_linux
def test_no_descriptor_is_left_over(outside):
    """A thousand items must not use up the process's descriptors."""
    with outside.connected():
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with Fence():
                pass
        assert os.listdir("/proc/self/fd") == before


@on_linux
def test_severed_child_can_t_send(outside):
    """The child's copy of a connection is dead; the parent's goes on."""
    with outside.connected() as sock, select.epoll() as poll:
        poll.register(sock, select.EPOLLIN)
        before = outside.hits()
        pid = os.fork()
        if pid == 0:
            sever()
            try:
                os.write(sock.fileno(), b"from the child")
                os._exit(1)
            except BrokenPipeError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert outside.hits() == before
        sock.sendall(b"x")
        assert poll.poll(5) == [(sock.fileno(), select.EPOLLIN)]


@on_linux
def test_severed_child_has_an_epoll_set_of_its_own():
    """What it registers is no event of the parent's, and what was registered before still is one of its own."""
    ready, ready_in = os.pipe()
    os.write(ready_in, b"x")
    told, tell = os.pipe()
    go, let_go = os.pipe()
    with select.epoll() as poll:
        poll.register(go, select.EPOLLIN)
        pid = os.fork()
        if pid == 0:
            sever()
            os.close(let_go)
            poll.register(ready, select.EPOLLIN)
            os.write(tell, b"x")
            os.read(go, 1)
            poll.unregister(ready)
            os._exit(0 if (go, select.EPOLLHUP) in poll.poll(5) else 1)
        os.read(told, 1)
        seen = poll.poll(0)
        os.write(let_go, b"x")
        os.close(let_go)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for descriptor in (ready, ready_in, told, tell, go):
        os.close(descriptor)
    assert seen == []
    assert status == 0


def test_layers_are_named():
    """What holds here can be shown in a report."""
    expected = ("audit", "methods", "descriptors") if sys.platform == "linux" else ("audit", "methods")
    assert Fence.layers == expected


def test_other_threads_reads_go_on(outside):
    """A server thread of the user's own tests may finish what it is reading."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        got = []
        with far:
            reader = threading.Thread(target=lambda: got.append(far.recv(1)))
            with Fence() as fence:
                reader.start()
                os.write(near.fileno(), b"x")
                reader.join()
    assert got == [b"x"]
    assert fence.attempts == ()
