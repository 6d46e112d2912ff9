"""What a server answers to one command: the bytes that a driver reads, kept by reference and given again at replay."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, Final

from pytest_fluxrun.boundaries.mysql.by_hand import KEEPS_STATUS
from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT, IN_TRANSACTION, Field, Ok, end_body, joined, row_body
from pytest_fluxrun.boundaries.mysql.results import dump_results, load_results
from pytest_fluxrun.boundaries.mysql.statements import status_after
from pytest_fluxrun.values import Value, decode, dump_error, encode_or_opaque

__all__ = ["Answer"]

_MAX_BYTES: Final = 64 << 20
_OF_TRANSACTION: Final = IN_TRANSACTION | AUTOCOMMIT


class LoadDataLocal:
    """Names what can't be recorded: a statement for which the server reads a file of the client's."""


class OverBound:
    """Names what isn't kept: an answer of more bytes than a run may hold."""


class Answer:
    """The bytes of one answer, as far as the driver has read them.

    Args:
        session: who records it; nothing is kept once it is closed. None: what is given again.
        ends_by_ok: the connection has agreed on CLIENT_DEPRECATE_EOF.

    Attributes:
        failure: the error that ended the reading, or its stored form.
        lost: the connection ended in the middle.
        ended: nothing is missing; of one that is given again.
        by_file: the server asked for a file of the client's.
    """

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_ends_by_ok",
        "_results",
        "_session",
        "by_file",
        "ended",
        "failure",
        "lost",
        "size_bytes",
    )

    def __init__(self, session: Any = None, *, ends_by_ok: bool = False) -> None:
        self._session = session if session is None else weakref.ref(session)
        self._chunks: list[bytes] = []
        self._results: Value = None
        self._ends_by_ok = ends_by_ok
        self.size_bytes = 0
        self.failure: Any = None
        self.lost = False
        self.by_file = False
        self.ended = False

    def add(self, data: bytes) -> None:
        """Keep what was read, while the run goes on."""
        session = None if self._session is None else self._session()
        if session is None or session.closed:
            return
        self.size_bytes += len(data)
        if self.size_bytes <= _MAX_BYTES:
            self._chunks.append(data)
        else:
            self._chunks.clear()

    def end(self, failure: BaseException | None) -> None:
        """No more can be read: the server hung up, or reading failed."""
        if failure is None:
            self.lost = True
        else:
            self.failure = failure

    def dump(self) -> Value:
        """The results; opaque if they can't be given back."""
        if self.by_file:
            return encode_or_opaque(LoadDataLocal())
        if self.size_bytes > _MAX_BYTES:
            return encode_or_opaque(OverBound())
        dumped: dict[str, Value] = dump_results(b"".join(self._chunks), ends_by_ok=self._ends_by_ok)
        if self.failure is not None:
            dumped["failure"] = dump_error(self.failure)
        if self.lost:
            dumped["lost"] = True
        return dumped

    @classmethod
    def load(cls, value: Value) -> Answer:
        """The answer that `dump` saw.

        Raises:
            OpaqueValue: it can't be given back.
            DamagedBundle: it isn't an answer.
        """
        if "~" in value:
            decode(value)
        answer = cls()
        answer._results = value
        answer.failure = value.get("failure")
        answer.lost = bool(value.get("lost"))
        return answer

    @classmethod
    def local(cls, sql: str, status: int) -> Answer:
        """What a statement about the connection alone is answered, in the status in which the connection is.

        Args:
            sql: folded.
        """
        asked = sql.removeprefix("SELECT ").strip() if sql.upper().startswith("SELECT ") else ""
        bodies = _number(asked, status) if asked else iter([Ok(0, 0, status_after(sql, status), 0).body()])
        answer = cls()
        answer._results = dump_results(joined(bodies))
        return answer

    def leave(self, status: int) -> None:
        """Replaying side: where it doesn't tell of a transaction itself, it leaves the connection in this status."""
        if self._results is None or not self._results.get(KEEPS_STATUS):
            return
        kept = status & _OF_TRANSACTION
        first, *more = [
            {**one, "server_status": one.get("server_status", 0) & ~_OF_TRANSACTION | kept}
            for one in (self._results, *self._results.get("more", ()))
        ]
        self._results = {**first, "more": more} if more else first

    def stream(self, *, ends_by_ok: bool = False) -> bytes:
        """Replaying side: the bytes to be read; sets `ended`.

        Args:
            ends_by_ok: the connection that reads them has agreed on CLIENT_DEPRECATE_EOF.

        Raises:
            DamagedBundle: it isn't an answer.
        """
        stream, self.ended = load_results(self._results, ends_by_ok=ends_by_ok)
        return stream


def _number(asked: str, status: int) -> Iterator[bytes]:
    """One row with the number that was asked for."""
    name = asked.encode()
    yield b"\x01"
    yield Field(b"def", b"", b"", b"", name, b"", 63, len(name), 3, 129, 0).body()
    yield end_body(status, 0)
    yield row_body([name])
    yield end_body(status & (IN_TRANSACTION | AUTOCOMMIT), 0)
