"""aiosmtplib: a mail is one effect, whether `sendmail` sends it or its steps by hand; what leads to it is answered.

Beneath `sendmail`, `login` and the protocol's STARTTLS nothing crosses again. At replay the client's own code runs over
a protocol without a connection.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.mail.answer import MailAnswer, MailLibrary, Nowhere
from pytest_fluxrun.boundaries.mail.conversation import Conversation, asking, mail_call
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.values import Value

__all__ = ["Aiosmtplib", "boundary"]

_COMPLETED: Final = 250
_CLOSING: Final = 421
_LOST: Final = ("SMTPServerDisconnected", "SMTPTimeoutError")
_conversations: weakref.WeakKeyDictionary[Any, Conversation] = weakref.WeakKeyDictionary()


class Aiosmtplib(MailLibrary):
    """`SMTP`, and beneath it the module's `send`."""

    name: ClassVar[str] = "aiosmtplib"
    modules: ClassVar[tuple[str, ...]] = ("aiosmtplib.smtp", "aiosmtplib.protocol")
    distribution: ClassVar[str] = "aiosmtplib"
    tested: ClassVar[tuple[str, str]] = ("3.0.0", "5.1.3")

    def patches(self, module: Any) -> Iterable[Patch]:
        """What makes several commands one call, and the protocol's ways over the wire."""
        if module.__name__ == "aiosmtplib.smtp":
            yield Patch(module.SMTP, "_create_connection", _create_connection)
            yield Patch(module.SMTP, "login", _login)
            yield Patch(module.SMTP, "sendmail", _sendmail)
            return
        yield Patch(module.SMTPProtocol, "execute_command", _execute_command)
        yield Patch(module.SMTPProtocol, "execute_data_command", _execute_data_command)
        yield Patch(module.SMTPProtocol, "start_tls", _start_tls)

    def dump_error(self, error: BaseException) -> Value:
        """With the refusals that make up one error, which are errors themselves."""
        dumped = super().dump_error(error)
        refusals = getattr(error, "recipients", None)
        if isinstance(refusals, list) and isinstance(dumped, dict) and "refusals" not in dumped:
            dumped["refusals"] = [super(Aiosmtplib, self).dump_error(refusal) for refusal in refusals]
        return dumped

    def load_error(self, value: Value, call: Call) -> BaseException:
        """What `dump_error` saw."""
        error = super().load_error(value, call)
        if isinstance(value, dict) and "refusals" in value:
            refusals = [super(Aiosmtplib, self).load_error(refusal, call) for refusal in value["refusals"]]
            vars(error)["recipients"], error.args = refusals, (refusals,)
        return error


def _answer(response: Any, refused: Any = (), size_bytes: int = 0) -> MailAnswer:
    return MailAnswer(int(response[0]), _bytes(response[1]), tuple(refused), size_bytes)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _response(answer: MailAnswer) -> Any:
    return import_module("aiosmtplib.response").SMTPResponse(
        answer.code, answer.text.decode("utf-8", "surrogateescape")
    )


def _conversation(protocol: Any) -> Conversation:
    found = _conversations.get(protocol)
    if found is None:
        found = _conversations[protocol] = Conversation()
    return found


def _known(session: Any, default: tuple[int, bytes]) -> tuple[int, bytes]:
    code, text = session.read("mail", "greeting", lambda: default)
    return code, bytes(text)


async def _greeted(client: Any, session: Any) -> None:
    """Say EHLO once, if nobody has. At a connection's first use in a session, its answer becomes part of the run."""
    conversation = _conversation(client.protocol)
    if conversation.session is not session:
        conversation.session = session
        greeting = client.last_ehlo_response
        if greeting is not None:
            _known(session, (int(greeting.code), _bytes(greeting.message)))
    if client.is_ehlo_or_helo_needed:
        if conversation.lock is None:
            conversation.lock = asyncio.Lock()
        async with conversation.lock:
            await client._ehlo_or_helo_if_needed()  # noqa: SLF001 - the first that aiosmtplib's own code does here


# -- the client ------------------------------------------------------------------------------------------------------


async def _crossed(client: Any, session: Any, call: Call, live: Callable[[], Awaitable[MailAnswer]]) -> MailAnswer:
    """Cross; where a recorded error is raised, leave the client as the library did then."""
    try:
        answer: MailAnswer = await session.acall(boundary, call, live)
    except Exception as error:
        if session.answers and _closes(error):
            client.close()
        raise
    return answer


def _closes(error: Exception) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    if names.intersection(_LOST) or getattr(error, "code", 0) == _CLOSING:
        return True
    refusals = getattr(error, "recipients", None)
    return isinstance(refusals, list) and any(getattr(refusal, "code", 0) == _CLOSING for refusal in refusals)


def _create_connection(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def create_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return await original(self, *args, **kwargs)

        async def live() -> MailAnswer:
            return _answer(await original(self, *args, **kwargs))

        answer = await _crossed(self, session, asking("connect", _server(self)), live)
        if session.answers:
            self.transport = Nowhere(known=[("sslcontext", _UNREAD if self.use_tls else None)])
            self.protocol = import_module("aiosmtplib.protocol").SMTPProtocol(loop=self.loop)
            self.protocol.connection_made(self.transport)
        _conversation(self.protocol).session = session
        return _response(answer)

    return create_connection


_UNREAD: Final = object()
"""Where a TLS context would be: that there is one is all that aiosmtplib asks."""


def _server(client: Any) -> str:
    if client.sock is not None:
        return "a socket"
    if client.socket_path is not None:
        return str(client.socket_path)
    port = client._get_default_port() if client.port is None else client.port  # noqa: SLF001 - as its connect does
    return f"{client.hostname or 'localhost'}:{port}"


def _login(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def login(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None or self.protocol is None:
            return await original(self, *args, **kwargs)
        await _greeted(self, session)

        async def live() -> MailAnswer:
            return _answer(await original(self, *args, **kwargs))

        return _response(await _crossed(self, session, asking("login"), live))

    return login


def _sendmail(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def sendmail(
        self: Any,
        sender: Any,
        recipients: Any,
        message: Any,
        *args: Any,
        mail_options: Any = None,
        rcpt_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        session = crossing()
        options = {"mail_options": mail_options, "rcpt_options": rcpt_options, **kwargs}
        if session is None or self.protocol is None:
            return await original(self, sender, recipients, message, *args, **options)
        given = {name: None if option is None else list(option) for name, option in _given(options)}
        await _greeted(self, session)

        async def live() -> MailAnswer:
            try:
                refused, text = await original(self, sender, recipients, message, *args, **{**options, **given})
            except Exception as error:
                boundary.note_refusal(error)
                raise
            refusals = ((address, int(reply[0]), _bytes(reply[1])) for address, reply in refused.items())
            return _answer((_COMPLETED, text), refusals, len(message))

        to = [recipients] if isinstance(recipients, str) else list(recipients)
        said = [option for options_of in given.values() for option in options_of or ()]
        answer = await _crossed(self, session, mail_call(sender, to, message, said), live)
        refused = {address: _response(MailAnswer(code, text)) for address, code, text in answer.refused}
        return refused, answer.text.decode("utf-8", "surrogateescape")

    return sendmail


def _given(options: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, options[name]) for name in ("mail_options", "rcpt_options"))


# -- the protocol ----------------------------------------------------------------------------------------------------


def _execute_command(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def execute_command(self: Any, *args: bytes, **kwargs: Any) -> Any:
        session = crossing()
        if session is None or not self.is_connected:
            return await original(self, *args, **kwargs)
        conversation = _conversation(self)
        conversation.send(b" ".join(args))
        call, note = conversation.call(functools.partial(_known, session))

        async def live() -> MailAnswer:
            return _answer(await original(self, *args, **kwargs))

        answer = await session.acall(boundary, call, live)
        note(answer)
        return _response(answer)

    return execute_command


def _execute_data_command(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def execute_data_command(self: Any, message: bytes, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None or not self.is_connected:
            return await original(self, message, *args, **kwargs)

        async def live() -> MailAnswer:
            return _answer(await original(self, message, *args, **kwargs), size_bytes=len(message))

        answer = await session.acall(boundary, _conversation(self).mail(message), live)
        return _response(answer)

    return execute_data_command


def _start_tls(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def start_tls(self: Any, tls_context: Any, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None or not self.is_connected:
            return await original(self, tls_context, *args, **kwargs)

        async def live() -> MailAnswer:
            return _answer(await original(self, tls_context, *args, **kwargs))

        answer = await session.acall(boundary, asking("starttls"), live)
        if session.answers:
            self.transport = Nowhere(self.transport, known=[("sslcontext", tls_context)])
            self._over_ssl = True
        return _response(answer)

    return start_tls


boundary = Aiosmtplib()
