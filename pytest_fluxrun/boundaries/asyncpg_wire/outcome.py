"""What the server said to one call of asyncpg's protocol: between the bytes and a Value. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.description import Description
from pytest_fluxrun.boundaries.asyncpg_wire.messages import PIECE, answer_of, pieces_of, said
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.values import Value, decode, dump_error, encode, load_error

__all__ = ["Outcome", "error_said"]

_READY: Final = b"Z\x00\x00\x00\x05"


class Outcome:
    """What the server said, filled while it says it.

    Attributes:
        description: of the statement, where it is a prepared one.
        copies: it is a COPY, whose pieces the program gets one by one.
        given: about how many bytes the program copied in.
        lost: the connection broke with this error, or with None; False: it held.
        timed_out: the program's own time-out ended the call.
        played: served, not live; `stages` is then what the protocol hears.
    """

    __slots__ = ("copies", "description", "given", "lost", "played", "received", "stages", "timed_out")

    def __init__(self, description: Description | None = None, *, copies: bool = False) -> None:
        self.received: list[bytes] = []
        self.description = description
        self.copies = copies
        self.lost: BaseException | bool | None = False
        self.timed_out = False
        self.given = 0
        self.played = False
        self.stages: list[list[bytes]] = []

    @classmethod
    def local(cls, *messages: bytes) -> Outcome:
        """What is answered without a recording."""
        outcome = cls()
        outcome.played = True
        outcome.stages = [[b"".join(messages)]]
        return outcome

    @classmethod
    def silent(cls) -> Outcome:
        """The server says nothing before the program's time-out."""
        outcome = cls()
        outcome.played = outcome.timed_out = True
        return outcome

    def status(self) -> str | None:
        """Of the transaction, as the last thing that is played says it."""
        last = self.stages[-1][-1] if self.stages and self.stages[-1] else b""
        return last[-1:].decode() if last[-6:-1] == _READY else None

    def set_status(self, status: str) -> None:
        """Play another one, where there is one."""
        self.stages[-1][-1] = self.stages[-1][-1][:-1] + status.encode()

    def weigh(self) -> int:
        """Bytes that it holds."""
        return sum(map(len, self.received)) + self.given

    def dump(self) -> Value:
        """Columns, rows and the other messages; rows as fields, so that each text in them can be found."""
        description = self.description
        known = description.types if description is not None else ()
        messages, rows, types = answer_of(self.received, known, pieces=self.copies)
        dumped: dict[str, Value] = {
            "columns": None if description is None or not description.columns else list(description.columns),
            "types": list(types),
            "rows": encode(rows),
            "messages": encode(messages),
        }
        if self.lost is not False:
            dumped["lost"] = dump_error(self.lost) if isinstance(self.lost, BaseException) else None
        return dumped

    @classmethod
    def load(cls, value: Value) -> Outcome:
        """What `dump` saw, to be played.

        Raises:
            DamagedBundle: it isn't an answer.
        """
        outcome = cls()
        outcome.played = True
        try:
            if "~" in value:
                decode(value)
            messages, rows = decode(value["messages"]), value["rows"]
            pieces = _stages_of(messages, rows if type(rows) is list else decode(rows), value["types"])
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise DamagedBundle("a recorded answer of PostgreSQL can't be read", why=repr(error)) from error
        outcome.stages = pieces
        if "lost" in value:
            outcome.lost = None if value["lost"] is None else load_error(value["lost"])
        return outcome


def _stages_of(messages: list[Any], rows: Sequence[Any], types: Sequence[int]) -> list[list[bytes]]:
    """One stage; two where the program has something to copy in after the first."""
    for index, message in enumerate(messages):
        if (message if isinstance(message, str) else message[0]) == "G":
            rest = [other for other in messages[index + 1 :] if other != PIECE]
            return [pieces_of(messages[: index + 1], rows, types), pieces_of(rest, rows, types)]
    return [pieces_of(messages, rows, types)]


def error_said(code: str, text: str) -> bytes:
    """An ErrorResponse."""
    fields = {"S": "ERROR", "V": "ERROR", "C": code, "M": text}
    return said("E", b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0")
