"""smtplib: a mail is one effect, whether `sendmail` sends it or its steps by hand; what leads to it is answered.

Beneath `sendmail`, `login`, `starttls` and `connect` nothing crosses again; other commands cross at `getreply`. The
parsing of greetings, and all that is decided by them, runs for real at replay.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.mail.answer import MailAnswer, MailLibrary, Nowhere
from pytest_fluxrun.boundaries.mail.conversation import Conversation, asking, mail_call
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing

__all__ = ["Smtplib", "boundary"]

_CLOSING: Final = 421
_OK: Final = (250, b"OK")
_conversations: weakref.WeakKeyDictionary[Any, Conversation] = weakref.WeakKeyDictionary()


class Smtplib(MailLibrary):
    """SMTP, and SMTP_SSL and LMTP beneath it."""

    name: ClassVar[str] = "smtplib"
    modules: ClassVar[tuple[str, ...]] = ("smtplib",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Both `connect`s, what makes several commands one call, and the two ways over the wire."""
        yield Patch(module.SMTP, "connect", _connect)
        yield Patch(module.LMTP, "connect", _connect)
        yield Patch(module.SMTP, "starttls", _starttls)
        yield Patch(module.SMTP, "login", _login)
        yield Patch(module.SMTP, "sendmail", _sendmail)
        yield Patch(module.SMTP, "send", _send)
        yield Patch(module.SMTP, "getreply", _getreply)


def _crossed(self: Any, session: Any, call: Call, live: Callable[[], MailAnswer]) -> MailAnswer:
    """Cross; where a recorded error is raised, leave the connection as the library did then."""
    try:
        answer: MailAnswer = session.call(boundary, call, live)
    except Exception as error:
        if session.answers and _closes(error):
            self.close()
        raise
    return answer


def _closes(error: Exception) -> bool:
    """Whether smtplib closes its connection with that error."""
    if type(error).__name__ == "SMTPServerDisconnected" or getattr(error, "smtp_code", 0) == _CLOSING:
        return True
    refused = getattr(error, "recipients", None)
    return isinstance(refused, dict) and any(code == _CLOSING for code, _ in refused.values())


def _conversation(self: Any, session: Any) -> Conversation:
    """The connection's. At its first use in a session, what its server said of itself becomes part of the run."""
    found = _conversations.get(self)
    if found is None:
        found = _conversations[self] = Conversation()
    if found.session is not session:
        found.session = session
        if self.ehlo_resp is not None:
            _known(self, session, (250, self.ehlo_resp))
    return found


def _known(self: Any, session: Any, default: tuple[int, bytes]) -> tuple[int, bytes]:
    code, text = session.read("mail", f"greeting {self._host}", lambda: default)
    return code, bytes(text)


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def connect(self: Any, host: Any = "localhost", port: Any = 0, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return original(self, host, port, *args, **kwargs)
        _conversations[self] = Conversation(session)

        def live() -> MailAnswer:
            return MailAnswer(*original(self, host, port, *args, **kwargs))

        answer = _crossed(self, session, asking("connect", _server(self, host, port)), live)
        if session.answers:
            self.sock, self.file = Nowhere(), None
        return answer.code, answer.text

    return connect


def _server(self: Any, host: Any, port: Any) -> str:
    """Host and port as `connect` takes them apart; a path that of a socket."""
    name = str(host)
    if name.startswith("/") or (not port and name.count(":") == 1):
        return name
    return f"{name}:{port or self.default_port}"


def _starttls(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def starttls(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return original(self, *args, **kwargs)
        _conversation(self, session)
        self.ehlo_or_helo_if_needed()

        def live() -> MailAnswer:
            return MailAnswer(*original(self, *args, **kwargs))

        answer = _crossed(self, session, asking("starttls"), live)
        if session.answers:
            self.file = self.helo_resp = self.ehlo_resp = None
            self.esmtp_features = {}
            self.does_esmtp = False
        return answer.code, answer.text

    return starttls


def _login(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def login(self: Any, user: Any, password: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return original(self, user, password, **kwargs)
        _conversation(self, session)
        self.ehlo_or_helo_if_needed()

        def live() -> MailAnswer:
            return MailAnswer(*original(self, user, password, **kwargs))

        answer = _crossed(self, session, asking("login"), live)
        if session.answers:
            self.user, self.password = user, password
        return answer.code, answer.text

    return login


def _sendmail(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def sendmail(  # noqa: PLR0917 - as smtplib has it
        self: Any, from_addr: Any, to_addrs: Any, msg: Any, mail_options: Any = (), rcpt_options: Any = ()
    ) -> Any:
        session = crossing()
        if session is None or self.sock is None:
            return original(self, from_addr, to_addrs, msg, mail_options, rcpt_options)
        _conversation(self, session)
        self.ehlo_or_helo_if_needed()
        recipients = [to_addrs] if isinstance(to_addrs, str) else list(to_addrs)
        mail_options, rcpt_options = list(mail_options), list(rcpt_options)

        def live() -> MailAnswer:
            try:
                refused = original(self, from_addr, to_addrs, msg, mail_options, rcpt_options)
            except Exception as error:
                boundary.note_refusal(error)
                raise
            return MailAnswer(*_OK, tuple((address, *reply) for address, reply in refused.items()), len(msg))

        call = mail_call(from_addr, recipients, msg, (*mail_options, *rcpt_options))
        answer = _crossed(self, session, call, live)
        return {address: (code, text) for address, code, text in answer.refused}

    return sendmail


def _send(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def send(self: Any, s: Any) -> None:
        session = crossing()
        if session is None or self.sock is None:
            return original(self, s)
        data = s.encode(self.command_encoding) if isinstance(s, str) else bytes(s)
        conversation = _conversation(self, session)
        conversation.send(data)
        if session.answers:
            return None
        try:
            return original(self, data)
        except Exception as error:
            _note_unsent(self, session, conversation, error)
            raise

    return send


def _note_unsent(self: Any, session: Any, conversation: Conversation, error: Exception) -> None:
    """Record the command that couldn't be sent: at replay, `getreply` raises its error."""

    def live() -> MailAnswer:
        raise error

    call, _ = conversation.call(functools.partial(_known, self, session))
    try:
        session.call(boundary, call, live)
    except Exception as raised:
        if raised is not error:
            raise


def _getreply(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def getreply(self: Any) -> Any:
        session = crossing()
        if session is None or self.sock is None:
            return original(self)
        conversation = _conversation(self, session)
        call, note = conversation.call(functools.partial(_known, self, session))
        answer = _crossed(self, session, call, lambda: MailAnswer(*original(self)))
        note(answer)
        return answer.code, answer.text

    return getreply


boundary = Smtplib()
