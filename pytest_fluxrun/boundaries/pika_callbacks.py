"""pika's connections that drive themselves by callbacks (SelectConnection, AsyncioConnection, …): refused by name.

What they send and receive is spread over an I/O loop of theirs, of which no run knows the end. `BlockingConnection`,
which has one of them inside, is covered (`pika`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered
from pytest_fluxrun.context import crossing

__all__ = ["PikaCallbacks", "boundary"]


class PikaCallbacks(Uncovered):
    """Every `pika.connection.Connection` that no BlockingConnection owns."""

    name: ClassVar[str] = "pika's connections with callbacks"
    modules = ("pika.connection", "pika.channel")
    instead: ClassVar[str] = "use pika.BlockingConnection or aio-pika, or call it through fluxrun.host"

    def patches(self, module: Any) -> Iterable[Patch]:
        """Making a connection; and what a channel of an older one sends."""
        if module.__name__ == "pika.connection":
            yield Patch(module.Connection, "__init__", self.refuse)
        else:
            yield Patch(module.Channel, "_send_method", self._wrap_send)

    def _wrap_send(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def _send_method(channel: Any, method: Any, *args: Any, **kwargs: Any) -> None:
            session = crossing()
            if session is not None and method.NAME != "Channel.Open" and not _is_owned(channel):
                session.uncovered(self)
            original(channel, method, *args, **kwargs)

        return _send_method


boundary = PikaCallbacks()


def _is_owned(channel: Any) -> bool:
    """Whether a blocking channel drives it, or its connection is known to be a blocking one's."""
    return channel._cookie is not None or hasattr(channel.connection, "_fx_owned")  # noqa: SLF001 - set so by pika
