"""One gRPC call of a run on its way: its session, lane and answer; what it sends, and reads beyond the record."""

from __future__ import annotations

from typing import Any

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.rpc.answer import Asked, RpcAnswer
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.context import Clock, Lane, crossing, current_lane, entered, virtual_clock

__all__ = ["Opened"]


class Opened:
    """What both ways of calling share.

    Args:
        session: the one that the call was opened in.
        answer: live and being filled, or played.

    Attributes:
        reading_on: refuses what the recording doesn't hold.
        lane: of what grpc's own threads do for the call: messages that it sends, callbacks of the app.
    """

    def __init__(self, boundary: Boundary[RpcAnswer], session: Any, asked: Asked, answer: RpcAnswer) -> None:
        lane = current_lane()
        assert lane is not None
        self.lane: Lane = lane.spawn("grpc")
        self.answer = answer
        self.clock: Clock | None = virtual_clock()
        self.start_ns = 0 if self.clock is None else self.clock.now_ns()
        self._boundary = boundary
        self._asked = asked
        self.reading_on = ReadingOn(boundary, session, asked.form, of="message")

    def wait_s(self, offset_ns: int) -> float:
        """Seconds from now to a recorded offset on the run's virtual clock."""
        if self.clock is None or self.clock.over:
            return 0.0
        return max(0, self.start_ns + offset_ns - self.clock.now_ns()) / 1e9

    def send(self, message: bytes) -> None:
        """Cross with one message of a stream of requests, which went out as part of the open call."""
        with entered(self.lane):
            session = crossing()
            if session is not None:
                session.call(self._boundary, self.sent(message), RpcAnswer)

    def sent(self, message: bytes) -> Call:
        """The call that such a message is."""
        asked = self._asked
        return Call(request=lambda: asked.sent(message))
