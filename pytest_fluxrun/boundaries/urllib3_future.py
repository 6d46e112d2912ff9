"""urllib3-future, under niquests, and in urllib3's place wherever it is installed: HTTP/1.1, HTTP/2 and HTTP/3, sync.

Its connections speak the protocols themselves, over a socket. At replay they speak HTTP/1.1 to one that plays the
recorded answer; its pools, retries, redirects and decoding run as they are. Its async half isn't covered here.
"""

from __future__ import annotations

import functools
import http.client
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.http.asked import Asked
from pytest_fluxrun.boundaries.http.exchange import Exchange, dump_exchange, exchange_with
from pytest_fluxrun.boundaries.http.failures import Failure
from pytest_fluxrun.boundaries.http.played_socket import Ended, PlayedSocket
from pytest_fluxrun.boundaries.http.steps import BEFORE_SENDING, cause_of, phase_of
from pytest_fluxrun.boundaries.http_client import STATE, HttpClientBoundary, open_state
from pytest_fluxrun.boundary import Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.values import Value

__all__ = ["Urllib3FutureBoundary", "boundary"]

_ASKED: Final = "fluxrun_asked"
_BODY: Final = "_LowLevelResponse__internal_read_st"
_HEADERS: Final = "_HfaceBackend__headers"
_VERSIONS: Final = {11: "HTTP/1.1", 20: "HTTP/2", 30: "HTTP/3"}
_ESTABLISHED: Final = 1


class _StreamSocket(PlayedSocket):
    """A played connection for a library that reads and writes sockets: what it writes is dropped."""

    type = socket.SOCK_STREAM
    family = socket.AF_INET

    def __init__(self, host: str, before: Any = None) -> None:
        super().__init__(host, before)
        self._pieces: Iterator[bytes] = iter(())

    def play(self, wire: Iterator[bytes]) -> None:
        """The next `recv` reads this."""
        self._pieces = wire

    def sendall(self, data: Any, *_: Any) -> None:  # type: ignore[override]
        """The request: it was taken where it was whole."""

    def recv(self, size: int, *_: Any) -> bytes:  # type: ignore[override]
        """The next piece of the answer; nothing after its end."""
        try:
            piece = next(self._pieces, b"")
        except Ended:
            return b""
        if len(piece) > size:
            self._pieces = _before(piece[size:], self._pieces)
        return piece[:size]

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """A connection that is established, without errors, and kept alive."""
        if size:
            return bytes([_ESTABLISHED]) + bytes(size - 1)
        return int((level, option) == (socket.SOL_SOCKET, socket.SO_KEEPALIVE))


def _before(piece: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield piece
    yield from others


class Urllib3FutureBoundary(HttpClientBoundary):
    """The connections of urllib3-future, under both of its names."""

    name: ClassVar[str] = "urllib3_future"
    modules: ClassVar[tuple[str, ...]] = ("urllib3_future.connectionpool", "urllib3.connectionpool")
    packages = HttpClientBoundary.packages | {"urllib3", "urllib3_future"}

    def patches(self, module: Any) -> Iterable[Patch]:
        """`urlopen`, both `connect`s, and what every connection has: `endheaders`, `send`, `getresponse`."""
        plain = module.HTTPConnection
        if issubclass(plain, http.client.HTTPConnection):
            return  # urllib3 itself
        yield Patch(module.HTTPConnectionPool, "urlopen", self.wrap_urlopen)
        backend = next(cls for cls in plain.__mro__ if cls.__name__ == "HfaceBackend")
        fail = functools.partial(_fail, plain._new_conn)  # noqa: SLF001 - names failures to connect
        wrap = functools.partial(self.wrap_connect, cause=cause_of, connected=_connected, failing=fail)
        for owner in (plain, module.HTTPSConnectionPool.ConnectionCls):
            yield Patch(owner, "connect", wrap)
        yield Patch(backend, "endheaders", self._wrap_endheaders)
        yield Patch(backend, "send", self._wrap_send)
        yield Patch(backend, "getresponse", self._wrap_getresponse)

    def failure(self, error: BaseException) -> Failure | None:
        """Also by the library's own errors for a connection that ends too early."""
        if type(error).__name__ == "IncompleteRead":
            return Failure.INCOMPLETE
        return super().failure(error) or (Failure.DROPPED if type(error).__name__ == "ProtocolError" else None)

    def dump(self, result: Exchange) -> Value:
        """The exchange: the library has taken off the transfer coding."""
        return dump_exchange(result, self.dump_error)

    def new_socket(self, host: str) -> PlayedSocket:
        """One that is read and written as a socket."""
        return _StreamSocket(host)

    def wire(self, session: Any, asked: Asked, exchange: Exchange) -> Iterator[bytes]:
        """Also what the library had read and gave to nobody when a body ended too early: it only counts that."""
        unseen = _unseen(exchange)
        try:
            yield from super().wire(session, asked, exchange)
        except Ended:
            if unseen:
                yield bytes(unseen)
            raise

    def sent_headers(self, headers: Any, body: Any) -> Any:
        """With the type that the library gives to a text that has none."""
        if not isinstance(body, str) or any(str(name).lower() == "content-type" for name in headers):
            return headers
        return {**headers, "Content-Type": "text/plain; charset=utf-8"}

    # -- sending

    def _wrap_endheaders(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def endheaders(conn: Any, *args: Any, expect_body_afterward: bool = False, **kwargs: Any) -> Any:
            session = crossing()
            if session is None or not session.answers:
                _leave_played(conn)
            if session is None:
                return original(conn, *args, expect_body_afterward=expect_body_afterward, **kwargs)
            asked = open_state(conn)
            asked.add(_head(getattr(conn, _HEADERS)))
            asked.ended = not expect_body_afterward
            if session.answers:
                self._connect_if_live(conn)
                self._foresee_whole(session, asked)
            send = functools.partial(original, conn, *args, expect_body_afterward=expect_body_afterward, **kwargs)
            return self._sent(conn, session, asked, send)

        return endheaders

    def _wrap_send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def send(conn: Any, data: Any, *, eot: bool = False) -> Any:
            session = crossing()
            if session is None:
                return original(conn, data, eot=eot)
            asked = open_state(conn)
            asked.add(bytes(data))
            asked.ended = eot
            if session.answers:
                self._foresee_whole(session, asked)
            return self._sent(conn, session, asked, functools.partial(original, conn, data, eot=eot))

        return send

    def _sent(self, conn: Any, session: Any, asked: Asked, send: Callable[[], Any]) -> Any:
        """Send some of a request; the promise of its answer, once there is one, says whose answer it will be."""
        try:
            promise = send()
        except OSError as error:
            promise = getattr(error, "promise", None)
            if promise is not None:
                promise.set_parameter(_ASKED, asked)
            elif not asked.crossed:
                self.send_failed(session, asked, error)
            raise
        if promise is not None:
            promise.set_parameter(_ASKED, asked)
            vars(conn).pop(STATE, None)
        return promise

    def _foresee_whole(self, session: Any, asked: Asked) -> None:
        if asked.foreseen or not asked.ended:
            return
        asked.foreseen = True
        if phase_of(session.foresee(self, asked.call)) in (*BEFORE_SENDING, "send"):
            asked.crossed = True
            raise self.raised(session, asked.call)

    @staticmethod
    def _connect_if_live(conn: Any) -> None:
        """A connection that was open before the run isn't used; what it holds is put aside."""
        if conn.sock is None or isinstance(conn.sock, PlayedSocket):
            return
        before, headers = conn.sock, getattr(conn, _HEADERS)
        conn.sock, conn._protocol = None, None  # noqa: SLF001 - what its own `close` resets
        conn._promises, conn._promises_per_stream, conn._pending_responses = {}, {}, {}  # noqa: SLF001
        try:
            conn.connect()
        finally:
            if isinstance(conn.sock, PlayedSocket):
                conn.sock.before = before
            else:
                before.close()
        setattr(conn, _HEADERS, headers)

    # -- answers

    def _wrap_getresponse(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def getresponse(conn: Any, *, promise: Any = None, early_response_callback: Any = None) -> Any:
            session = crossing()
            live = functools.partial(original, conn, promise=promise, early_response_callback=early_response_callback)
            if session is None:
                return live()
            found = promise or next(iter(conn._promises.values()), None)  # noqa: SLF001 - the one to be answered
            asked = None if found is None else found.get_parameter(_ASKED)
            if asked is None or asked.crossed:
                if session.answers:
                    raise UnrecordedCall(
                        "an answer is read to a request that was sent before the run",
                        asked=f"the next answer of {conn.host}",
                        next_step="send the request inside the run that reads its answer",
                    )
                return live()
            asked.crossed = True
            return (self._answer_played if session.answers else self._answer_live)(conn, session, asked, live)

        return getresponse

    def _answer_live(self, conn: Any, session: Any, asked: Asked, live: Callable[[], Any]) -> Any:
        del conn
        exchange = session.call(self, asked.call, lambda: _exchange_of(live()))
        response = exchange.begin()
        read = getattr(response, _BODY)
        if read is None:
            exchange.finish("eof")
        else:
            setattr(response, _BODY, _teed(read, exchange))
        return response

    def _answer_played(self, conn: Any, session: Any, asked: Asked, live: Callable[[], Any]) -> Any:
        found = self.recorded(session, asked.call)
        if isinstance(found, Exception):
            conn.sock.play(_failing(found))
            return live()
        conn.sock.play(self.wire(session, asked, found))
        response = live()
        recorded = next((number for number, name in _VERSIONS.items() if name == found.http_version), None)
        response.version = recorded or response.version
        return response


# -- connections


def _head(headers: list[tuple[bytes, bytes]]) -> bytes:
    """A request's head as HTTP/1.1 would write it; how its body is framed is no part of it."""
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    lines = [b"%b %b HTTP/1.1" % (pseudo[b":method"], pseudo[b":path"]), b"host: " + pseudo.get(b":authority", b"")]
    plain = (pair for pair in headers if not pair[0].startswith(b":") and pair[0] != b"transfer-encoding")
    return b"\r\n".join((*lines, *(name + b": " + value for name, value in plain), b"", b""))


def _connected(conn: Any) -> None:
    """A protocol of its own for the played connection, and what `connect` sets besides."""
    versions = type(conn._svn) if conn._svn is not None else _versions(conn)  # noqa: SLF001 - its protocol's version
    conn._svn, conn._protocol = versions.h11, None  # noqa: SLF001
    conn._post_conn()  # noqa: SLF001 - the library's step after connecting
    proxy = conn.proxy
    secure = conn.scheme == "https"
    conn.is_verified = secure and str(getattr(conn, "cert_reqs", "") or "CERT_REQUIRED") not in ("CERT_NONE", "0")
    conn._has_connected_to_proxy = bool(proxy)  # noqa: SLF001
    if proxy is not None:
        conn.proxy_is_verified = secure and str(proxy.scheme) == "https"


def _versions(conn: Any) -> Any:
    import sys

    backend = next(cls for cls in type(conn).__mro__ if cls.__name__ == "HfaceBackend")
    return sys.modules[backend.__module__].HttpVersion


def _leave_played(conn: Any) -> None:
    """Outside a replay a connection that was made in one is closed, so that a real one is made."""
    if isinstance(conn.sock, PlayedSocket):
        headers = getattr(conn, _HEADERS)
        conn.close()
        setattr(conn, _HEADERS, headers)


class _NoResolver:
    """Stands for a connection's resolver: making a connection raises what was recorded."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def create_connection(self, *_: Any, **__: Any) -> Any:
        raise self._error


def _fail(new_conn: Callable[[Any], Any], conn: Any, error: BaseException, phase: str) -> None:
    """Let the library name the error as it does where a connection can't be made."""
    if phase == "tunnel":
        conn._has_connected_to_proxy = True  # noqa: SLF001 - it says whose failure it is
    if phase != "connect" or not isinstance(error, OSError):
        return
    resolver, conn._resolver = conn._resolver, _NoResolver(error)  # noqa: SLF001 - what makes its connections
    try:
        new_conn(conn)
    finally:
        conn._resolver = resolver  # noqa: SLF001


# -- answers


def _exchange_of(response: Any) -> Exchange:
    return exchange_with(response, _VERSIONS.get(response.version), response.msg.iteritems)


def _teed(read: Callable[..., Any], exchange: Exchange) -> Callable[..., Any]:
    """What reads the body's chunks, copying them."""

    def read_chunks(amount: int | None, stream_id: int | None) -> Any:
        try:
            chunks, over, trailers = read(amount, stream_id)
        except BaseException as raised:
            exchange.broke_off(raised)
            raise
        for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:  # older ones give bytes
            if chunk:
                exchange.add(bytes(chunk))
        if over:
            exchange.finish("eof")
        return chunks, over, trailers

    return read_chunks


def _unseen(exchange: Exchange) -> int:
    """How many bytes an `IncompleteRead` of this library counts that no read gave to the app."""
    error: Any = exchange.error
    counted = error.get("attributes", {}).get("partial") if isinstance(error, dict) else None
    return max(0, counted - exchange.size_bytes) if isinstance(counted, int) else 0


def _failing(error: Exception) -> Iterator[bytes]:
    """A connection that fails before the head; what is no error of the system was the connection's end."""
    if isinstance(error, OSError) and not isinstance(error, http.client.RemoteDisconnected):
        raise error
    yield b""


boundary = Urllib3FutureBoundary()
