"""A connection of mysqlclient's in a replay, which has none of the C library's: what it knows and where it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT
from pytest_fluxrun.boundaries.mysql.replies import Part, Reply
from pytest_fluxrun.boundaries.mysql.statements import status_after
from pytest_fluxrun.boundary import Call

__all__ = ["CLIENT_TRANSACTIONS", "FACTS", "Served"]

CLIENT_TRANSACTIONS: Final = 1 << 13
"""The capability that a server with transactions has."""
FACTS: Final[dict[str, Any]] = {
    "get_server_info": "8.0.0",
    "get_host_info": "",
    "get_proto_info": 10,
    "thread_id": 0,
    "character_set_name": "utf8mb4",
    "get_autocommit": True,
}
"""Methods that tell what a connection knows, with what it knows where no recording tells."""


class Served:
    """A connection's state inside one replay, in the place of its C library's.

    Args:
        session: the replay's.
        facts: what the connection knows, by the method that tells it.

    Attributes:
        open: 1, as the C class says it, until it is closed.
        reply: the results of its last statement.
        form: makes the request of that statement.
        index: the result that it is at.
    """

    def __init__(self, session: Any, facts: dict[str, Any]) -> None:
        self.session = weakref.ref(session)
        self.facts = {**FACTS, **facts}
        self.open = 1
        self.reply: Reply | None = None
        self.form: Callable[[], Any] = dict
        self.index = 0

    def answered(self, reply: Reply, call: Call) -> None:
        """The connection's next results are those of a reply."""
        self.reply, self.index, self.form = reply, 0, call.form
        if reply.autocommit is not None:
            self.facts["get_autocommit"] = reply.autocommit

    @property
    def part(self) -> Part:
        """The result that the connection is at."""
        return Part() if self.reply is None else self.reply.parts[self.index]

    def more(self) -> bool:
        """Whether there is another one."""
        return self.reply is not None and self.index + 1 < len(self.reply.parts)

    def local_reply(self, statement: str) -> Reply:
        """What a statement that needs no server gives, where no recording tells; it may change autocommit."""
        reply = Reply()
        reply.parts.append(Part())
        status = AUTOCOMMIT if self.facts["get_autocommit"] else 0
        reply.autocommit = bool(status_after(statement, status) & AUTOCOMMIT)
        if statement.upper().startswith("SELECT "):
            number = statement[7:].strip()
            part = reply.parts[0] = Part(1)
            part.described, part.flags = ((number, 3, len(number), len(number), len(number), 0, 0),), (129,)
            part.rows, part.count, part.ended = [(int(number),)], 1, True
        return reply
