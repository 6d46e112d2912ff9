"""What the boundaries of MySQL's drivers that read packets have in common: the stored forms of their results."""

from __future__ import annotations

from typing import Any

from pytest_fluxrun.boundaries.mysql.answer import Answer
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.kinds.sql import SQL
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["MysqlLibrary"]


class MysqlLibrary(Boundary[Any]):
    """A boundary of a driver of MySQL."""

    kind = SQL

    def dump(self, result: Any) -> Value:
        """The results; of a CONNECT, what the connection knows."""
        return result.dump() if isinstance(result, Answer) else {"columns": None, "server": encode(result)}

    def load(self, value: Value, call: Call) -> Any:
        """What `dump` saw."""
        del call
        return decode(value["server"]) if "server" in value else Answer.load(value)

    def weigh(self, result: Any) -> int:
        """The bytes that were read."""
        return result.size_bytes if isinstance(result, Answer) else 0
