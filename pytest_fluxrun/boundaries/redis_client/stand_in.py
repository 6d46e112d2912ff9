"""What stands for a socket at replay: a connection that has one counts as connected. Nothing can be sent through it."""

from __future__ import annotations

import errno
from typing import Any, NoReturn

__all__ = ["StandIn"]


class StandIn:
    """A socket, and the reader and writer of a stream, that reach nobody."""

    _buffer = b""

    def close(self) -> None:
        """There is nothing to close."""

    def shutdown(self, how: int) -> None:
        """There is nothing to shut down."""

    def settimeout(self, timeout: float | None) -> None:
        """Nothing waits."""

    def gettimeout(self) -> None:
        """Nothing waits."""

    def fileno(self) -> int:
        """As a closed socket's."""
        return -1

    def is_closing(self) -> bool:
        """It lasts until it is dropped."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is nothing to tell."""
        del name
        return default

    async def wait_closed(self) -> None:
        """It is."""

    def sendall(self, data: Any) -> NoReturn:
        """Refuse: the run in which it stood for a socket is over."""
        del data
        raise OSError(errno.ENOTCONN, "not connected")

    writelines = sendall
    recv_into = sendall
    recv = sendall
