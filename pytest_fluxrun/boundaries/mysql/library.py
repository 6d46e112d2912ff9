"""What the boundaries of MySQL's drivers that read packets have in common: the stored forms of their results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.mysql.answer import Answer
from pytest_fluxrun.boundaries.mysql.by_hand import KEEPS_STATUS, Words, asked_anew, made_up, packets_of, place_of
from pytest_fluxrun.boundary import Boundary, Call, Request
from pytest_fluxrun.kinds.sql import SQL
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["MysqlLibrary"]


class MysqlLibrary(Boundary[Any]):
    """A boundary of a driver of MySQL.

    Attributes:
        blocking: its calls are no coroutines.
        database: what its `connect` calls the database.
    """

    kind = SQL
    blocking: ClassVar[bool] = True
    database: ClassVar[str] = "database"

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

    @abstractmethod
    def connector(self) -> Callable[..., Any]:
        """The driver's `connect`."""

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """What a read gives in the database that the environment's `mysql` names."""
        place = place_of(environment, request["database"])
        place[self.database] = place.pop("database")
        answer = asked_anew(request, self.connector(), place, blocking=self.blocking)
        return {**self.dump(answer), KEEPS_STATUS: True}

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """See `Words.of`."""
        return packets_of(Words.of(reply, self.name, request))

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """See `by_hand.made_up`."""
        return made_up(request, number)
