"""What a mail server answered: a reply code with its text, and the recipients that it refused; stored and back."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pytest_fluxrun.boundary import Boundary, Call, Request
from pytest_fluxrun.errors import DamagedBundle, GuardError, UnrecordedCall
from pytest_fluxrun.kinds.mail import MAIL
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["MailAnswer", "MailLibrary", "Nowhere"]


@dataclass(frozen=True, slots=True)
class MailAnswer:
    """One answer.

    Attributes:
        refused: recipients of a mail that others got, each with code and text.
        size_bytes: of what was sent, which the run keeps until it is dumped.
    """

    code: int
    text: bytes
    refused: tuple[tuple[str, int, bytes], ...] = ()
    size_bytes: int = 0


class MailLibrary(Boundary[MailAnswer]):
    """A boundary of the kind mail."""

    kind = MAIL

    def __init__(self) -> None:
        self._refusals: weakref.WeakKeyDictionary[BaseException, Value] = weakref.WeakKeyDictionary()

    def note_refusal(self, error: BaseException) -> None:
        """Recording side, at the crossing: an error that names recipients, in an object that the app may change."""
        if getattr(error, "recipients", None):
            self._refusals[error] = self.dump_error(error)

    def dump_error(self, error: BaseException) -> Value:
        """As it was at the crossing."""
        noted = self._refusals.get(error) if hasattr(error, "recipients") else None
        return super().dump_error(error) if noted is None else noted

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """A reply in words: `code` and `text`, 250 without them.

        Raises:
            GuardError: it has other keys.
        """
        del request
        code, text = reply.get("code", 250), reply.get("text", "OK")
        if set(reply) - {"code", "text"} or type(code) is not int or not isinstance(text, str):
            raise GuardError(
                f"the guard's reply {dict(reply)!r} is no answer of {self.name}",
                why="it may have `code`, a number, and `text`",
                next_step='correct it, e.g. reply = { code = 250, text = "OK" }',
            )
        return self.dump(MailAnswer(code, text.encode()))

    def sketch(self, request: Request, number: int) -> Mapping[str, Any]:
        """The mail was taken."""
        del request, number
        return {"code": 250, "text": "OK"}

    def weigh(self, result: MailAnswer) -> int:
        """The message's bytes."""
        return result.size_bytes

    def dump(self, result: MailAnswer) -> Value:
        """Code, text and refusals."""
        return {
            "code": result.code,
            "text": encode(result.text),
            "refused": [[encode(address), code, encode(text)] for address, code, text in result.refused],
        }

    def load(self, value: Value, call: Call) -> MailAnswer:
        """What `dump` saw.

        Raises:
            DamagedBundle: it isn't a recorded answer.
        """
        del call
        try:
            refused = tuple((decode(address), code, bytes(decode(text))) for address, code, text in value["refused"])
            return MailAnswer(value["code"], bytes(decode(value["text"])), refused)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBundle("the recorded answer of a mail server can't be read", why=repr(error)) from error


class Nowhere:
    """What stands where a library keeps its socket, or its transport, while a run is replayed. Leads nowhere.

    Args:
        before: the live one of a connection from before the run; closed when the app closes it, and not used.
        known: what asyncio's transports call extra info.
    """

    def __init__(self, before: Any = None, known: Iterable[tuple[str, Any]] = ()) -> None:
        self._before = before
        self._known = dict(known)
        self._closed = False

    def close(self) -> None:
        """The app gives up the connection."""
        self._closed = True
        before, self._before = self._before, None
        if before is not None:
            before.close()

    abort = close

    def is_closing(self) -> bool:
        """Whether the app has closed it."""
        return self._closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The TLS context; what the peer said of itself isn't recorded."""
        return self._known.get(name, default)

    def settimeout(self, seconds: float | None) -> None:
        """What timed out was recorded."""

    def sendall(self, data: Any, *_: Any) -> NoReturn:
        """Refuse it."""
        del data
        raise UnrecordedCall(
            "a replayed connection to a mail server is used in a way that no recording answers",
            asked="bytes to or from its socket, past the library",
            next_step="move the boundary outwards with fluxrun.host, to where plain values cross it",
        )

    send = write = recv = makefile = sendall
