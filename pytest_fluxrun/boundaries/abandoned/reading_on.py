"""What comes of reading beyond an answer of which the recorded program read a part: nothing is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.context import crossing
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["ReadingOn"]


class ReadingOn:
    """Reading beyond what the recording of an abandoned answer holds: refused, as the session does with any such call.

    Args:
        session: the replay in which the answer began; None: it is over.
        form: makes the form of the call that is answered.
        of: what the answer is made of.
    """

    def __init__(
        self, boundary: Boundary[Any], session: Any, form: Callable[[], Mapping[str, Any]], *, of: str = "chunk"
    ) -> None:
        self._boundary = boundary
        self._session = session
        self._form = form
        self._of = of

    def refuse(self, played: int) -> NoReturn:
        """Refuse it on a thread.

        Args:
            played: how many parts were recorded.

        Raises:
            UnrecordedCall: always.
        """
        call = self._call(played)
        if self._session is not None and crossing() is self._session:
            self._session.call(self._boundary, call, _nothing_live)
        raise self._refused(call)

    async def arefuse(self, played: int) -> NoReturn:
        """`refuse` in a coroutine: one that is stopped at once has not read on."""
        call = self._call(played)
        if self._session is not None and crossing() is self._session:
            await self._session.acall(self._boundary, call, _nothing_live)
        raise self._refused(call)

    def _call(self, played: int) -> Call:
        return Call(request={**self._form(), "rest": f"reading on after {self._of} {played}"})

    def _refused(self, call: Call) -> UnrecordedCall:
        text = self._boundary.kind.text(call.form())
        return UnrecordedCall("the app read on in an answer that the run left", asked=text)


def _nothing_live() -> NoReturn:
    raise UnrecordedCall("the rest of an abandoned answer exists nowhere", asked="the rest of an answer")
