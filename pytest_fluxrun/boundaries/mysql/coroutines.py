"""What the connections of aiomysql and of asyncmy, which descends from it, do alike."""

# ruff: noqa: SLF001 - the seams lie on the drivers' own inner methods
from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pytest_fluxrun.boundaries.mysql.knowledge import Knowledge
from pytest_fluxrun.boundaries.mysql.library import MysqlLibrary
from pytest_fluxrun.boundaries.mysql.statements import Asked, form
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import crossing

__all__ = ["connecting", "forget", "nothing_live"]

_Connect = Callable[[Any], Awaitable[None]]


def connecting(
    boundary: MysqlLibrary, knowledge: Knowledge, told: Mapping[str, Any], unplugged: Callable[[Any], None]
) -> Callable[[_Connect], _Connect]:
    """The seam in what connects.

    Args:
        knowledge: what a connection knows of its server.
        told: that, where no recording tells.
        unplugged: gives a connection of a replay what it has in the place of streams.
    """

    def wrap(original: _Connect) -> _Connect:
        @functools.wraps(original)
        async def connect(self: Any) -> None:
            session = crossing()
            if session is None:
                await original(self)
                return

            async def live() -> dict[str, Any]:
                await original(self)
                return knowledge.of(self)

            def otherwise() -> dict[str, Any]:
                known = {**told, "_charset": self._charset, "_encoding": self._encoding}
                if self.autocommit_mode is False:
                    known["server_status"] = 0
                return knowledge.kept(session, known)

            call = Call(functools.partial(form, boundary.name, self._db, Asked("CONNECT")), otherwise)
            known = await session.acall(boundary, call, live)
            knowledge.noted(self, session)
            if session.answers:
                knowledge.tell(self, known)
                self._next_seq_id = 0
                self._result = None
                unplugged(self)

        return connect

    return wrap


def forget(connection: Any) -> None:
    """Nothing of the answer before will be read."""
    if connection._result is not None:
        connection._result.unbuffered_active, connection._result = False, None


async def nothing_live() -> Any:
    """What a session that answers is given in the place of a live call."""
    raise AssertionError("a replay makes no live call")
