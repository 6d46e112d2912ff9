"""What every websocket client must do alike: one table of talks with a real server, and an adapter for each library.

An adapter is a function of (outside, Talk) that connects, takes the steps in the way that its users would, and
returns what they would see of each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TALKS", "Talk", "talks"]


@dataclass(frozen=True)
class Talk:
    """One connection and what is done on it.

    Attributes:
        steps: `("send", message)`, `("receive",)`, `("receive", timeout_s)`, `("all",)`: iterate to the end,
            `("close", code, reason)`, `("ping",)`: and wait for the pong.
        again: connect anew and take the steps once more, so often.
        fails: connecting itself does.
    """

    path: str
    steps: tuple[tuple[Any, ...], ...] = ()
    host: str = "url"
    again: int = 0
    subprotocols: tuple[str, ...] = ()
    fails: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


SEND, RECEIVE, ALL = ("send", "hello"), ("receive",), ("all",)

TALKS: Mapping[str, Talk] = {
    "text": Talk("/echo", (SEND, RECEIVE)),
    "binary": Talk("/echo", (("send", bytes(range(256))), RECEIVE)),
    "json": Talk("/echo", (("send", '{"a": [1, {"b": null}]}'), RECEIVE)),
    "empty": Talk("/echo", (("send", ""), RECEIVE, ("send", b""), RECEIVE)),
    "large": Talk("/echo", (("send", "x" * 200_000), RECEIVE)),
    "unicode": Talk("/echo", (("send", "naïve ✓"), RECEIVE)),
    "many": Talk("/echo", (SEND, ("send", "two"), RECEIVE, ("send", "three"), RECEIVE, RECEIVE)),
    "pushed": Talk("/ticker", (RECEIVE, RECEIVE)),
    "iterated": Talk("/feed", (ALL,)),
    "fragmented": Talk("/fragments", (RECEIVE,)),
    "pinged": Talk("/pinging", (RECEIVE,)),
    "ping": Talk("/echo", (("ping",), SEND, RECEIVE)),
    "closed-by-server": Talk("/leave", (RECEIVE,)),
    "closed-with-a-code": Talk("/kick", (RECEIVE,)),
    "sent-when-closed": Talk("/kick", (RECEIVE, SEND)),
    "dropped": Talk("/drop", (RECEIVE,)),
    "close": Talk("/echo", (SEND, RECEIVE, ("close", 4001, "enough"))),
    "receive-timed-out": Talk("/silent", (("receive", 0.05), SEND)),
    "subprotocol": Talk("/echo", (SEND, RECEIVE), subprotocols=("soap", "chat")),
    "header": Talk("/headers", (RECEIVE,), headers={"X-Name": "value"}),
    "twice": Talk("/echo", (SEND, RECEIVE), again=1),
    "two-tickers": Talk("/ticker", (RECEIVE,), again=2),
    "rejected": Talk("/forbidden", fails=True),
    "no-websocket": Talk("/plain", fails=True),
    "refused": Talk("/echo", host="refused", fails=True),
    "no-such-host": Talk("/echo", host="nowhere", fails=True),
}


def talks(adapter: Callable[[Any, Talk], Any], *, but: Iterable[str] = ()) -> dict[str, Callable[[Any], Any]]:
    """The table for one library, but for talks that the library itself doesn't have."""
    left_out = frozenset(but)
    assert left_out <= TALKS.keys()
    return {name: functools.partial(adapter, talk=talk) for name, talk in TALKS.items() if name not in left_out}
