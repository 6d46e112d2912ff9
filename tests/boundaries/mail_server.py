"""A real mail server on loopback, behind ports that count: what it gets it keeps, what it refuses its addresses say."""

from __future__ import annotations

import functools
import socket
import ssl
from contextlib import suppress
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.boundaries.forwarded import Forwarded

__all__ = ["MailServer"]


class _Handler:
    """Refuses what an address says: `refused@`, `unknown@`, `busy@` (421), `drop@`; and mails whose subject is spam."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, tuple[str, ...], bytes]] = []

    async def handle_MAIL(self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        answer = self._judge(server, address)
        if answer.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        answer = self._judge(server, address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return answer

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        if b"Subject: spam" in content:
            return "554 5.7.1 we don't like it"
        if b"Subject: hang up" in content and server.transport is not None:
            server.transport.close()
            return ""
        self.mails.append((str(envelope.mail_from), tuple(envelope.rcpt_tos), content))
        return "250 2.0.0 queued as 1"

    async def handle_VRFY(self, _: SMTP, __: Session, ___: Envelope, address: str) -> str:
        return f"252 cannot tell, but will try {address}"

    @staticmethod
    def _judge(server: SMTP, address: str) -> str:
        name = address.partition("@")[0]
        if name == "drop" and server.transport is not None:
            server.transport.close()
        return {
            "refused": "550 5.1.8 not from you",
            "unknown": "550 5.1.1 nobody of that name",
            "busy": "421 4.3.2 come back later",
        }.get(name, "250 OK")


def _authenticate(_: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shop", b"s3cret")
    return AuthResult(success=right, handled=False)


class _Server(Controller):
    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class _Lmtp(_Server):
    def factory(self) -> Any:
        return LMTP(self.handler, hostname="mail.example", ident="test")


@functools.cache
def _certificates() -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA()
    return authority, authority.issue_cert("127.0.0.1", "localhost")


class MailServer:
    """An Outside.

    Attributes:
        port: SMTP with AUTH and STARTTLS; `secure` SMTP over TLS, `local` LMTP, `free` nobody.
    """

    def __init__(self) -> None:
        self.handler = _Handler()
        self._secure: Forwarded | None = None
        self._local: Forwarded | None = None
        self._controllers: list[Controller] = []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _certificates()[1].configure_cert(self._tls)
        self._smtp = self._forwarded(
            _Server(self.handler, "127.0.0.1", 0, tls_context=self._tls, **_SETTINGS)  # type: ignore[arg-type]
        )
        self._free = socket.socket()
        self._free.bind(("127.0.0.1", 0))
        self.free: int = self._free.getsockname()[1]
        self._present = True

    def _forwarded(self, controller: Controller) -> Forwarded:
        controller.start()
        self._controllers.append(controller)
        return Forwarded(controller.port)

    @property
    def port(self) -> int:
        return self._smtp.port

    @property
    def secure(self) -> int:
        if self._secure is None:
            controller = _Server(self.handler, "127.0.0.1", 0, ssl_context=self._tls, **_SETTINGS)  # type: ignore[arg-type]
            self._secure = self._forwarded(controller)
        return self._secure.port

    @property
    def local(self) -> int:
        if self._local is None:
            self._local = self._forwarded(_Lmtp(self.handler, "127.0.0.1", 0))
        return self._local.port

    @staticmethod
    def trust() -> ssl.SSLContext:
        """A client's TLS context that trusts the server."""
        context = ssl.create_default_context()
        _certificates()[0].configure_trust(context)
        return context

    def calls(self) -> int:
        return sum(one.calls() for one in (self._smtp, self._secure, self._local) if one is not None)

    def reset(self) -> None:
        self.handler.mails.clear()

    def take_away(self) -> None:
        if self._present:
            self._present = False
            for one in (self._smtp, self._secure, self._local):
                if one is not None:
                    one.take_away()
            for controller in self._controllers:
                with suppress(Exception):
                    controller.stop()

    def close(self) -> None:
        self.take_away()
        self._free.close()


_SETTINGS: dict[str, Any] = {
    "server_hostname": "mail.example",
    "ident": "test",
    "authenticator": _authenticate,
    "auth_require_tls": False,
    "enable_SMTPUTF8": True,
    "data_size_limit": 100_000,
}
