"""One exchange with a server: the commands that were sent at once, and their replies as the client reads them.

Replies are kept below redis-py's decoding and response callbacks, which run at replay as they do live. Data only.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from pytest_fluxrun.boundaries.redis_client.wire import Chunks, commands_in, text_or_bytes
from pytest_fluxrun.boundary import Call, Request
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.values import Value, decode, dump_error, encode_or_opaque, load_error

__all__ = ["Exchange", "Sent", "kept", "rebuilt"]

_ATOMS: Final = frozenset({bytes, str, int, float, bool, type(None)})
_UTF_8: Final = frozenset({"utf-8", "utf8"})
_TEXTS: Final = frozenset({bytes, str})
_MAX_WEIGHED: Final = 16
_NOMINAL: Final = 32
_ERROR: Final = "error"


class Exchange(Call):
    """Commands and the replies that were read so far: a call and its answer in one.

    Attributes:
        chunks: the packed commands.
        receives: instead of commands, what a connection is subscribed to.
        replies: as the parser gave them, copied.
        failure: the error that ended the reading; a Value when loaded.
        crossed: the first reply has been asked for.
        polls: how often nothing was there before a message came.
        live: the reply that was read last, as the client gets it.
        size_bytes: about what it holds.
    """

    # Slots: an exchange is made for every command, on the program's own thread.
    __slots__ = (
        "chunks",
        "crossed",
        "database",
        "failure",
        "live",
        "next_reply",
        "polls",
        "receives",
        "replies",
        "size_bytes",
        "which",
    )
    request: Any = None
    annotation: Any = Any
    prepare: Callable[[], Awaitable[None]] | None = None

    def __init__(self, database: str = "", which: int = 0, chunks: Chunks | None = None) -> None:
        self.otherwise: Callable[[], Any] | None = None
        self.started_ns: int | None = None
        self.found: Any = None
        self.database = database
        self.which = which
        self.chunks = chunks
        self.receives: tuple[str, ...] = ()
        self.replies: Sequence[Any] = ()
        self.failure: Any = None
        self.crossed = False
        self.polls = 0
        self.live: Any = None
        self.next_reply = 0
        self.size_bytes = 0 if chunks is None else len(chunks) if isinstance(chunks, bytes) else sum(map(len, chunks))

    def add(self, chunks: Chunks) -> None:
        """More commands are sent before the first reply is read."""
        assert self.chunks is not None
        pieces = [[one] if isinstance(one, bytes) else one for one in (self.chunks, chunks)]
        self.chunks = [*pieces[0], *pieces[1]]
        self.size_bytes += sum(map(len, pieces[1]))

    def form(self) -> Request:
        """The request in the form of the kind kv."""
        where: dict[str, Any] = {"database": self.database, "which": self.which}
        if self.chunks is None:
            return {**where, "receive": list(self.receives)}
        commands = commands_in(self.chunks)
        return {**where, "command": commands[0]} if len(commands) == 1 else {**where, "commands": commands}

    def keep(self, reply: Any, encoder: Any) -> None:
        """Keep a reply that was read live.

        Args:
            encoder: the connection's.
        """
        if type(reply) is bytes:
            self.size_bytes += len(reply)
        else:
            self.size_bytes += _weight(reply)
            if type(reply) not in _ATOMS:
                reply = kept(reply)
            if encoder.decode_responses and encoder.encoding not in _UTF_8:
                reply = _encoded(reply, encoder.encoding)
        replies = self.replies
        if not replies:
            self.replies = (reply,)  # most have one
        elif type(replies) is list:
            replies.append(reply)
        else:
            self.replies = [*replies, reply]

    def dump(self) -> Value:
        """Replies, texts where they are UTF-8, and errors among them."""
        dumped: dict[str, Value] = {"replies": encode_or_opaque([_stored(reply) for reply in self.replies])}
        if self.failure is not None:
            dumped["failure"] = dump_error(self.failure)
        if self.polls:
            dumped["polls"] = self.polls
        return dumped

    @classmethod
    def load(cls, value: Value) -> Exchange:
        """The exchange that `dump` saw, to be served.

        Raises:
            OpaqueValue: it can't be given back.
            DamagedBundle: it isn't an exchange.
        """
        exchange = cls()
        try:
            exchange.replies = decode(value["replies"])
            exchange.failure = value.get("failure")
            exchange.polls = value.get("polls", 0)
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedBundle("a recorded Redis reply can't be read", why=repr(error)) from error
        return exchange

    def answer(self, served: Exchange) -> None:
        """Take the replies of the recorded exchange."""
        if served is not self:
            self.replies, self.failure, self.polls = served.replies, served.failure, served.polls

    def serve(self, encoder: Any, *, raw: bool) -> Any:
        """The next reply as the live client's parser would give it; an error that is one is returned.

        Args:
            encoder: the connection's.
            raw: texts aren't decoded, whatever the encoder says.

        Raises:
            LookupError: no more was recorded.
        """
        if self.next_reply >= len(self.replies):
            if self.failure is not None:
                raise rebuilt(self.failure)
            raise LookupError(self.next_reply)
        reply = self.replies[self.next_reply]
        self.next_reply += 1
        return _served(reply, _text_maker(encoder, raw=raw))


class Sent(Exchange):
    """The exchange of a session that doesn't answer: what only answering and messages need is as it is for all."""

    __slots__ = ()
    otherwise: Callable[[], Any] | None = None
    started_ns: int | None = None
    found: Any = None
    receives: tuple[str, ...] = ()
    polls: int = 0
    live: Any = None
    next_reply: int = 0

    def __init__(self, database: str, which: int, chunks: Chunks) -> None:
        self.database = database
        self.which = which
        self.chunks = chunks
        self.replies = ()
        self.failure = None
        self.crossed = False
        self.size_bytes = len(chunks) if isinstance(chunks, bytes) else sum(map(len, chunks))


class _KeptError:
    """An error among replies as it came: redis-py changes its message when it raises it."""

    __slots__ = ("args", "attributes", "kind")

    def __init__(self, error: BaseException) -> None:
        self.kind = type(error)
        self.args = error.args
        self.attributes = dict(vars(error))

    def dump(self) -> Value:
        error = self.kind.__new__(self.kind)
        error.args = self.args
        vars(error).update(self.attributes)
        return dump_error(error)


def rebuilt(value: Value) -> BaseException:
    """A recorded error. One of redis-py's has all that its class gives it: since 7.2 some of that can't be recorded."""
    error = load_error(value)
    if type(error).__module__ == "redis.exceptions":
        with contextlib.suppress(Exception):  # a class that wants other arguments than its error has
            vars(error).update({**vars(type(error)(*error.args)), **vars(error)})
    return error


def kept(reply: Any) -> Any:
    """A copy of a reply that no one changes."""
    if type(reply) in _ATOMS:
        return reply
    if isinstance(reply, list):
        if _ATOMS.issuperset(map(type, reply)):
            return reply[:]
        return [item if type(item) in _ATOMS else kept(item) for item in reply]
    if isinstance(reply, dict):
        return {key: item if type(item) in _ATOMS else kept(item) for key, item in reply.items()}
    if isinstance(reply, set | tuple):
        return type(reply)(kept(item) for item in reply)
    return _KeptError(reply) if isinstance(reply, BaseException) else reply


def _mapped(reply: Any, each: Callable[[Any], Any]) -> Any:
    """A reply with a function applied to everything in it that isn't a container."""
    if isinstance(reply, list):
        return [_mapped(item, each) for item in reply]
    if isinstance(reply, dict):
        return {_mapped(key, each): _mapped(item, each) for key, item in reply.items()}
    return {_mapped(item, each) for item in reply} if isinstance(reply, set) else each(reply)


def _encoded(reply: Any, encoding: str) -> Any:
    return _mapped(reply, lambda item: item.encode(encoding, "surrogateescape") if type(item) is str else item)


def _stored(reply: Any) -> Any:
    def stored(item: Any) -> Any:
        if type(item) is bytes:
            return text_or_bytes(item)
        return (_ERROR, item.dump()) if isinstance(item, _KeptError) else item

    return _mapped(reply, stored)


def _served(reply: Any, text: Callable[[Any], Any]) -> Any:
    def served(item: Any) -> Any:
        if isinstance(item, tuple):
            return rebuilt(item[1])
        return text(item) if type(item) in (str, bytes) else item

    return _mapped(reply, served)


def _text_maker(encoder: Any, *, raw: bool) -> Callable[[Any], Any]:
    """What makes of a stored text what the parser makes of the bytes."""
    if raw or not encoder.decode_responses:
        return lambda item: item.encode() if type(item) is str else item
    if encoder.encoding.lower() in _UTF_8:
        return lambda item: item if type(item) is str else item.decode(encoder.encoding, encoder.encoding_errors)
    return lambda item: (item.encode() if type(item) is str else item).decode(encoder.encoding, encoder.encoding_errors)


def _weight(reply: Any) -> int:
    if type(reply) in _TEXTS:
        return len(reply)
    if not isinstance(reply, list | dict | set):
        return _NOMINAL
    some = [*itertools.islice(reply.values() if isinstance(reply, dict) else reply, _MAX_WEIGHED)]
    return sum(map(_weight, some)) * max(1, len(reply) // _MAX_WEIGHED) + _NOMINAL * len(reply)
