"""One connection's conversation with a mail server, as far as calls are told by it: what was sent, what it is part of.

Credentials never get into a call: of AUTH only the mechanism is kept, of the answer to a challenge nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_fluxrun.boundaries.mail.answer import MailAnswer
from pytest_fluxrun.boundary import Call, Request

__all__ = ["Conversation", "asking", "mail_call"]

_CHALLENGE: Final = 334
_START_INPUT: Final = 354
_ACCEPTED: Final = frozenset({250, 251})
_ADDRESS: Final = re.compile(r"(?i)(?:from|to):\s*<?([^>\s]*)>?\s*(.*)", re.DOTALL)
_OF_TRANSPORT: Final = ("size=", "smtputf8", "body=")
"""Options that say how a mail is sent, and not what becomes of it."""
_EXTENSIONS: Final = (
    b"replay\nSIZE\n8BITMIME\nSMTPUTF8\nPIPELINING\nENHANCEDSTATUSCODES\nSTARTTLS\nAUTH PLAIN LOGIN XOAUTH2"
)
_LOCAL: Final = {
    "connect": (220, b"replay"),
    "ehlo": (250, _EXTENSIONS),
    "lhlo": (250, _EXTENSIONS),
    "helo": (250, b"replay"),
    "starttls": (220, b"Go ahead"),
    "login": (235, b"Authentication successful"),
    "auth": (235, b"Authentication successful"),
    "mail": (250, b"OK"),
    "rcpt": (250, b"OK"),
    "data": (_START_INPUT, b"End data with <CR><LF>.<CR><LF>"),
    "rset": (250, b"OK"),
    "noop": (250, b"OK"),
    "quit": (221, b"Bye"),
}
"""What answers at replay where the recording has nothing: steps on the way to a mail, which itself isn't among them."""


_Reply = tuple[int, bytes]


def asking(command: str, argument: str = "", known: Callable[[_Reply], _Reply] | None = None) -> Call:
    """The call of a command that is no mail.

    Args:
        known: makes what answers an unrecorded greeting of what would otherwise.
    """
    local = _LOCAL.get(command)

    def otherwise() -> MailAnswer:
        assert local is not None
        return MailAnswer(*(local if known is None or command not in ("ehlo", "lhlo") else known(local)))

    return Call({"command": command, "argument": argument}, otherwise=None if local is None else otherwise)


def mail_call(sender: str, recipients: Iterable[str], message: str | bytes, options: Iterable[str] = ()) -> Call:
    """The call of a mail; its form is made later."""
    to = tuple(recipients)
    counting = tuple(options)

    def form() -> Request:
        said = [option for option in map(str, counting) if not option.lower().startswith(_OF_TRANSPORT)]
        data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else bytes(message)
        return {"command": "send", "from": sender, "to": list(to), "message": data, "options": said}

    return Call(form)


@dataclass(slots=True)
class Conversation:
    """What went to a server over one connection.

    Attributes:
        session: the one in which the connection was last used.
        lock: held by a coroutine that greets the server, where a library is asynchronous.
    """

    session: Any = None
    lock: asyncio.Lock | None = None
    _pending: deque[str] = field(default_factory=deque)
    _secret: bool = False
    _input: list[bytes] | None = None
    _sender: str = ""
    _recipients: list[str] = field(default_factory=list)
    _options: list[str] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        """A command's line, or a part of a message."""
        if self._input is not None:
            self._input.append(data)
        else:
            self._pending.append(data.decode("utf-8", "surrogateescape").rstrip("\r\n"))

    def call(self, known: Callable[[_Reply], _Reply]) -> tuple[Call, Callable[[MailAnswer], None]]:
        """The call that the next reply answers, and what is to be told of that reply."""
        if self._input is not None:
            return self.mail(_unstuffed(b"".join(self._input))), self._mailed
        line = self._pending.popleft() if self._pending else ""
        verb, _, argument = line.partition(" ")
        verb = verb.lower()
        if self._secret:
            verb, argument = "auth", "(answer to a challenge)"
        elif verb == "auth":
            argument = argument.partition(" ")[0].upper()
        return asking(verb, argument, known), lambda answer: self._replied(verb, argument, answer.code)

    def mail(self, message: bytes) -> Call:
        """The call of a mail to all who were accepted since MAIL."""
        return mail_call(self._sender, self._recipients, message, self._options)

    def _mailed(self, answer: MailAnswer) -> None:
        del answer
        self._input = None
        self._recipients = []

    def _replied(self, verb: str, argument: str, code: int) -> None:
        self._secret = code == _CHALLENGE
        if verb == "data" and code == _START_INPUT:
            self._input = []
        elif verb == "mail" and code in _ACCEPTED:
            self._sender, self._options = _address(argument)
            self._recipients = []
        elif verb == "rcpt" and code in _ACCEPTED:
            recipient, options = _address(argument)
            self._recipients.append(recipient)
            self._options += options


def _address(argument: str) -> tuple[str, list[str]]:
    found = _ADDRESS.match(argument)
    return (argument, []) if found is None else (found[1], found[2].split())


def _unstuffed(data: bytes) -> bytes:
    """A message as it was before a library made it ready for DATA (RFC 5321, 4.5.2)."""
    return re.sub(rb"(?m)^\.\.", b".", data.removesuffix(b".\r\n"))
