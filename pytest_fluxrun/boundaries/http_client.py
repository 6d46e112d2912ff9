"""http.client: each request over an `HTTPConnection`, whoever makes it: urllib.request, urllib3, requests, botocore.

The library's own parsing, decoding, retries and redirects run at replay, over a socket that plays the recorded bytes.
A call crosses in `getresponse`; a failure to connect or to send is the failed call that it belongs to.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final, NoReturn

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.http.answer_tee import AnswerTee, unframed_exchange
from pytest_fluxrun.boundaries.http.asked import Asked, Origin, form_of
from pytest_fluxrun.boundaries.http.exchange import Exchange, dump_exchange, exchange_with
from pytest_fluxrun.boundaries.http.failures import Failure, chain, failure_of
from pytest_fluxrun.boundaries.http.intent import Intent, pool_url
from pytest_fluxrun.boundaries.http.library import HttpLibrary, nothing_live
from pytest_fluxrun.boundaries.http.playback import SyncPlayback
from pytest_fluxrun.boundaries.http.played_socket import Ended, PlayedSocket, wire_of
from pytest_fluxrun.boundaries.http.steps import (
    BEFORE_SENDING,
    failing_wire,
    is_of_connecting,
    phase_of,
    raised_by_http_client,
)
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import Lane, beneath, crossing, current_lane, virtual_clock
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.values import Value

__all__ = ["STATE", "HttpClientBoundary", "boundary", "open_state"]

STATE: Final = "_fluxrun_asked"
_PHASE: Final = "_fluxrun_phase"
_MAYBE_ANSWERED: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE})
"""After these a server may have answered before it read all: a library may go on to read that answer."""


class _Unanswered(Exception):
    """The app sent a request and closed the connection without reading an answer."""


class HttpClientBoundary(HttpLibrary):
    """The connections of http.client, and what libraries above it share to say which request a connection is for."""

    name: ClassVar[str] = "http_client"
    modules: ClassVar[tuple[str, ...]] = ("http.client",)
    packages = frozenset({"builtins", "http", "socket", "ssl"})

    def __init__(self) -> None:
        self._intents: dict[Lane, Intent] = {}

    def patches(self, module: Any) -> Iterable[Patch]:
        """Both `connect`s, and the methods that every connection shares."""
        yield Patch(module.HTTPConnection, "connect", self.wrap_connect)
        yield Patch(module.HTTPSConnection, "connect", self.wrap_connect)
        yield Patch(module.HTTPConnection, "endheaders", _wrap_endheaders)
        yield Patch(module.HTTPConnection, "send", self._wrap_send)
        yield Patch(module.HTTPConnection, "getresponse", self._wrap_getresponse)
        yield Patch(module.HTTPConnection, "close", self._wrap_close)

    # -- errors

    def failure(self, error: BaseException) -> Failure | None:
        """By the classes of the standard library; a time-out is one of connecting where that was under way."""
        if "Tunnel connection failed" in str(error):
            return Failure.PROXY
        return failure_of(error, connecting=getattr(error, _PHASE, "") in BEFORE_SENDING)

    def raised_for(self, failure: Failure, message: str) -> BaseException:
        """What http.client raises; libraries above wrap it as they do."""
        return raised_by_http_client(failure, message)

    def dump_error(self, error: BaseException) -> Value:
        """The error and the step that it failed in."""
        dumped = super().dump_error(error)
        attributes = dumped.get("attributes")
        if isinstance(attributes, dict):
            attributes.pop(_PHASE, None)
        if phase := getattr(error, _PHASE, ""):
            dumped["phase"] = phase
        return dumped

    # -- answers

    def dump(self, result: Exchange) -> Value:
        """The exchange without its transfer coding."""
        return dump_exchange(unframed_exchange(result), self.dump_error)

    def new_socket(self, host: str) -> PlayedSocket:
        """What a connection holds at replay."""
        return PlayedSocket(host)

    def sent_headers(self, headers: Any, body: Any) -> Any:
        """The headers that a pool will send for those that it was given."""
        del body
        return headers

    # -- for the libraries above

    @contextlib.contextmanager
    def intending(self, method: str, url: str | Callable[[], str], headers: Any, body: Any) -> Iterator[None]:
        """Say which request the lane is about to make, for connections that are opened within the block."""
        lane = current_lane()
        if lane is None or lane.inside:
            yield
            return
        before = self._intents.get(lane)
        self._intents[lane] = Intent(method, url, headers, body)
        try:
            yield
        finally:
            if before is None:
                self._intents.pop(lane, None)
            else:
                self._intents[lane] = before

    def wrap_urlopen(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`HTTPConnectionPool.urlopen` of urllib3 and its kin, which knows the request before anything connects."""

        @functools.wraps(original)
        def urlopen(
            pool: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kw: Any
        ) -> Any:
            if crossing() is None:
                return original(pool, method, url, body, headers, *args, **kw)
            known = self.sent_headers(pool.headers if headers is None else headers, body)
            with self.intending(method, functools.partial(pool_url, pool, url), known, body):
                return original(pool, method, url, body, headers, *args, **kw)

        return urlopen

    def wrap_connect(
        self,
        original: Callable[..., None],
        *,
        cause: Callable[[BaseException], BaseException] | None = None,
        connected: Callable[[Any], None] = lambda _: None,
        failing: Callable[[Any, BaseException, str], None] = lambda *_: None,
    ) -> Callable[..., None]:
        """A `connect` that at replay connects to nothing.

        Args:
            original: the method of the library's class.
            cause: of the library's own error for a connection that can't be made, the one beneath; any other as it is.
            connected: sets what the library's own `connect` sets besides `sock`, at replay.
            failing: raises what the library makes of an error in a step, at replay; else the error is raised as it is.
        """

        @functools.wraps(original)
        def connect(conn: Any, *args: Any, **kwargs: Any) -> None:
            session = crossing()
            if session is None:
                return original(conn, *args, **kwargs)
            if session.answers:
                self._connect_played(conn, session, failing)
                return connected(conn)
            asked = open_state(conn)
            try:
                with beneath():
                    return original(conn, *args, **kwargs)
            except BaseException as error:
                below = error if cause is None else cause(error)
                connecting = is_of_connecting(error) if cause is None else below is not error
                tunnelled = getattr(conn, "_has_connected_to_proxy", False)  # of urllib3 2 and its kin
                phase = "connect" if connecting else "tunnel" if tunnelled else "handshake"
                self._record_failed(session, below, self._call_of(asked), phase)
                asked.crossed = True
                raise

        return connect

    # -- connecting

    def _intended(self) -> Intent | None:
        lane = current_lane()
        return None if lane is None else self._intents.get(lane)

    def _intent_for(self, asked: Asked) -> Intent | None:
        """What a connection is about to be used for, as an outer library or `endheaders` says it."""
        intent = self._intended()
        if intent is None and asked.head:
            form = asked.form()
            body = asked if asked.announced is None and not asked.whole() else asked.announced
            intent = Intent(form["method"], form["url"], dict(asked.headers()), body)
        return intent

    def _call_of(self, asked: Asked) -> Call:
        """The call that a failing connect belongs to: what is intended, or the connect itself."""
        intent = self._intent_for(asked)
        form = _connect_form(asked.origin) if intent is None else intent.form()
        return Call(request=form, started_ns=asked.started_ns)

    def _record_failed(self, session: Any, error: BaseException, call: Call, phase: str) -> None:
        """Record a call that failed before it could cross. The errors under way stay as they were.

        Raising one of them anew would break their chains where these would form a circle.
        """
        under_way = sys.exc_info()[1] or error
        kept = [(link, link.__cause__, link.__context__, link.__suppress_context__) for link in chain(under_way)]
        traceback = error.__traceback__
        with contextlib.suppress(AttributeError):
            setattr(error, _PHASE, phase)

        def fail() -> NoReturn:
            raise error

        try:
            session.call(self, call, fail)
        except BaseException as raised:
            if raised is not error:
                raise
        for link, cause, context, suppress in kept:
            link.__cause__, link.__context__, link.__suppress_context__ = cause, context, suppress
        error.__traceback__ = traceback

    def _connect_played(self, conn: Any, session: Any, failing: Callable[[Any, BaseException, str], None]) -> None:
        asked = open_state(conn)
        conn.sock = self.new_socket(asked.origin.host)
        intent = self._intent_for(asked)
        if asked.foreseen or (asked.head and intent is not None and not intent.unread and not self._intended()):
            return  # what comes is foreseen once the request is whole
        form = _connect_form(asked.origin) if intent is None else intent.form()
        call = Call(request=form, otherwise=lambda: None)  # what isn't found so is asked for again as it is sent
        phase = phase_of(session.foresee(self, call))
        if phase in BEFORE_SENDING:
            conn.sock = None
            vars(conn).pop(STATE, None)
            error = self.raised(session, call)
            failing(conn, error, phase)
            raise error
        if call.found is not None:
            asked.adopt(call)

    def raised(self, session: Any, call: Call) -> BaseException:
        """The error of a call that is known to have failed."""
        found = self.recorded(session, call)
        if isinstance(found, Exception):
            return found
        raise AssertionError("a call that was foreseen to fail has an answer")

    def recorded(self, session: Any, call: Call) -> Exchange | Exception:
        """What answers a call at replay: the exchange, or the error that was recorded in its place."""
        try:
            exchange: Exchange = session.call(self, call, nothing_live)
        except UnrecordedCall:
            raise
        except Exception as error:
            return error
        return exchange

    # -- sending

    def _wrap_send(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def send(conn: Any, data: Any) -> None:
            session = crossing()
            if session is not None and session.answers:
                return self._send_played(conn, data, session)
            sock = conn.sock
            if sock.__class__ is PlayedSocket:
                conn.sock = sock.before
            if session is None:
                return original(conn, data)
            return self._send_live(conn, data, session, original)

        return send

    def _send_live(self, conn: Any, data: Any, session: Any, original: Callable[..., None]) -> None:
        asked = open_state(conn)
        for block in _blocks(conn, data):
            if isinstance(block, bytes):
                asked.add(block)
            elif isinstance(block, bytearray | memoryview):
                asked.add(bytes(block))
            try:
                original(conn, block)
            except OSError as error:
                if not asked.crossed:
                    self.send_failed(session, asked, error)
                raise

    def send_failed(self, session: Any, asked: Asked, error: OSError) -> None:
        """Record the failed call, unless the library may yet read an answer: then `getresponse` or `close` tells."""
        if error.errno in _MAYBE_ANSWERED:
            asked.failed = error
            return
        asked.crossed = True
        self._record_failed(session, error, asked.call, "send")

    def _send_played(self, conn: Any, data: Any, session: Any) -> None:
        asked = open_state(conn)
        if conn.sock is None:
            if not conn.auto_open:
                raise http.client.NotConnected
            if isinstance(data, bytes):  # the head: whose connection this is
                asked.add(data)
                data = b""
            _connect(conn)
        elif conn.sock.__class__ is not PlayedSocket:
            conn.sock = PlayedSocket(asked.origin.host, before=conn.sock)
        for block in _blocks(conn, data):
            asked.add(block if isinstance(block, bytes) else bytes(block))
        if isinstance(conn.sock, PlayedSocket):
            conn.sock.awaits_continue = asked.expects_continue()
        if not asked.foreseen and asked.whole():
            asked.foreseen = True
            if phase_of(session.foresee(self, asked.call)) in (*BEFORE_SENDING, "send"):
                asked.crossed = True
                raise self.raised(session, asked.call)

    # -- answers

    def _wrap_getresponse(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def getresponse(conn: Any) -> Any:
            session = crossing()
            if session is None:
                return original(conn)
            asked = _state(conn)
            vars(conn).pop(STATE, None)
            if asked is not None and not asked.head:
                asked = None
            if session.answers:
                return self._getresponse_played(conn, session, asked, original)
            return original(conn) if asked is None else self._getresponse_live(conn, session, asked, original)

        return getresponse

    def _getresponse_live(self, conn: Any, session: Any, asked: Asked, original: Callable[..., Any]) -> Any:
        exchange = session.call(self, asked.call, lambda: _exchange_of(original(conn)))
        response = exchange.begin()
        if response.fp is None:
            exchange.finish("eof")
        else:
            response.fp = AnswerTee(response.fp, exchange, length=response.length, chunked=bool(response.chunked))
        return response

    def _getresponse_played(self, conn: Any, session: Any, asked: Asked | None, original: Callable[..., Any]) -> Any:
        if asked is None:
            raise UnrecordedCall(
                "an answer is read to a request that was sent before the run",
                asked=f"the next answer of {_origin(conn).url('/')}",
                next_step="send the request inside the run that reads its answer",
            )
        found = self.recorded(session, asked.call)
        if conn.sock.__class__ is PlayedSocket:
            conn.sock.play(failing_wire(found) if isinstance(found, Exception) else self.wire(session, asked, found))
        return original(conn)

    def wire(self, session: Any, asked: Asked, exchange: Exchange) -> Iterator[bytes]:
        """The bytes of the recorded answer; it begins now."""
        reading_on = ReadingOn(self, session, asked.form)

        def failure(failed: Exchange) -> BaseException:
            error: Any = failed.error
            if error.get("failure") == Failure.INCOMPLETE:
                return Ended()
            return self.load_error(error)

        body = SyncPlayback(exchange, virtual_clock(), reading_on=reading_on, failure=failure)
        return wire_of(exchange, iter(body))

    # -- closing

    def _wrap_close(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def close(conn: Any) -> None:
            asked = _state(conn)
            vars(conn).pop(STATE, None)
            if conn.sock.__class__ is PlayedSocket and conn.sock.before is not None and crossing() is None:
                conn.sock = conn.sock.before
            original(conn)
            if asked is None or asked.crossed or not asked.head:
                return
            session = crossing()
            if session is not None:
                self._close_unanswered(session, asked)

        return close

    def _close_unanswered(self, session: Any, asked: Asked) -> None:
        """A request went out, or failed to, and nobody read what came of it."""
        asked.crossed = True
        if session.answers:
            if asked.foreseen:
                with contextlib.suppress(Exception):  # what was recorded for it is that nobody read the answer
                    session.call(self, asked.call, nothing_live)
            return
        error = asked.failed or _Unanswered("nobody read the answer")
        self._record_failed(session, error, asked.call, "send" if asked.failed else "answer")


# -- connections


def _connect_form(origin: Origin) -> dict[str, Any]:
    """The form of a connect that no request is known for."""
    return form_of("CONNECT", origin.url("/"), [], "", streamed=False)


def _origin(conn: Any) -> Origin:
    tunnel = getattr(conn, "_tunnel_host", None)
    host, port = (tunnel, getattr(conn, "_tunnel_port", None)) if tunnel else (conn.host, conn.port)
    return Origin("https" if conn.default_port == http.client.HTTPS_PORT else "http", host, port)


def _state(conn: Any) -> Asked | None:
    asked: Asked | None = vars(conn).get(STATE)
    return None if asked is None or asked.crossed or asked.session() is not crossing() else asked


def open_state(conn: Any) -> Asked:
    """The request that is being sent over a connection; a new one where the last one is over."""
    asked = _state(conn)
    if asked is None:
        asked = vars(conn)[STATE] = Asked(_origin(conn), ambient.monotonic_ns(), weakref.ref(crossing()))
    return asked


def _wrap_endheaders(original: Callable[..., None]) -> Callable[..., None]:
    """Tell which body will follow the head, for a connection that fails before it is sent."""

    @functools.wraps(original)
    def endheaders(conn: Any, message_body: Any = None, **options: Any) -> None:
        if crossing() is not None:
            open_state(conn).announced = message_body
        return original(conn, message_body, **options)

    return endheaders


def _connect(conn: Any) -> None:
    """The library's `connect`, if it is one that connects to nothing at replay."""
    if hasattr(type(conn).connect, "__wrapped__"):
        conn.connect()
    else:
        conn.sock = PlayedSocket(_origin(conn).host)


def _blocks(conn: Any, data: Any) -> Iterator[Any]:
    """What http.client's `send` writes of its argument, piece by piece: bytes, a file, or an iterable."""
    if isinstance(data, bytes | bytearray | memoryview | str):
        yield data
    elif hasattr(data, "read"):
        encode = conn._is_textIO(data)  # noqa: SLF001 - as `send` itself asks
        while block := data.read(conn.blocksize):
            yield block.encode("iso-8859-1") if encode else block
    else:
        try:
            memoryview(data)
        except TypeError:
            yield from data
        else:
            yield data


def _exchange_of(response: Any) -> Exchange:
    """The exchange of a live response, which it holds until the seam takes it."""
    version = {10: "HTTP/1.0", 11: "HTTP/1.1"}.get(response.version)
    return exchange_with(response, version, response.headers.raw_items)


boundary = HttpClientBoundary()
