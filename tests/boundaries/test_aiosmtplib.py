"""aiosmtplib's boundary against a real server: mails, their steps by hand, refusals, logins, servers that go away."""

from __future__ import annotations

import asyncio
import copy
import gc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from email.message import EmailMessage
from typing import Any, ClassVar

import aiosmtplib
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.aiosmtplib import boundary
from pytest_fluxrun.boundaries.concurrent_futures import boundary as pools
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.kinds.mail import MAIL
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from pytest_fluxrun.values import decode
from tests.boundaries.mail_server import MailServer
from tests.boundaries.read_runs import record, replay

SHOP, ANN, BOB = "shop@example.org", "ann@example.org", "bob@example.org"
TEXT = "From: shop@example.org\nTo: ann@example.org\nSubject: Welcome\n\nHello\n.\nend"

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""A loop ends before the TLS of a connection that aiosmtplib has closed has said good bye."""


@pytest.fixture
def outside(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()
    if any(word in request.node.name for word in ("TLS", "certificate", "login")):
        gc.collect()  # while the warning is ignored


def client(server: MailServer, **settings: Any) -> aiosmtplib.SMTP:
    given = {"port": server.port, "start_tls": False, **settings}
    return aiosmtplib.SMTP(hostname="127.0.0.1", local_hostname="web", timeout=10, **given)


def message(subject: str = "Welcome", to: str = ANN) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = SHOP, to, subject
    made.set_content("Hello\n")
    return made


Use = Callable[[aiosmtplib.SMTP], Awaitable[Any]]


def within(use: Use, **settings: Any) -> Callable[[MailServer], Awaitable[Any]]:
    """An exercise over a connection that is closed in the end."""

    async def exercise(server: MailServer) -> Any:
        async with client(server, **settings) as connection:
            return await use(connection)

    return exercise


def told(error: aiosmtplib.SMTPException) -> Any:
    state = {name: value for name, value in vars(error).items() if name != "recipients"}
    refusals = [(refusal.code, refusal.message, refusal.recipient) for refusal in getattr(error, "recipients", ())]
    return type(error), str(error) if not refusals else "", copy.deepcopy(state), refusals


def failing(use: Use) -> Callable[[MailServer], Awaitable[Any]]:
    """An exercise that fails: with its error's attributes, and whether the connection outlives it."""

    async def exercise(server: MailServer) -> Any:
        async with client(server) as connection:
            try:
                return await use(connection)
            except aiosmtplib.SMTPException as error:
                return told(error), connection.is_connected

    return exercise


async def several(connection: aiosmtplib.SMTP) -> Any:
    return [await connection.send_message(message(f"no. {number}")) for number in range(3)]


async def at_once(connection: aiosmtplib.SMTP) -> Any:
    texts = [TEXT.replace("Welcome", f"no. {number}") for number in range(3)]
    return await asyncio.gather(*(connection.sendmail(SHOP, ANN, text) for text in texts))


async def attached(connection: aiosmtplib.SMTP) -> Any:
    mail = message()
    mail.add_alternative("<p>Hello</p>", subtype="html")
    mail.add_attachment(b"\x00\xff", maintype="application", subtype="octet-stream", filename="a.bin")
    return await connection.send_message(mail)


async def after_a_refusal(connection: aiosmtplib.SMTP) -> Any:
    try:
        await connection.sendmail("refused@example.org", ANN, TEXT)
    except aiosmtplib.SMTPSenderRefused as error:
        return told(error), await connection.sendmail(SHOP, ANN, TEXT)


async def login(connection: aiosmtplib.SMTP) -> Any:
    return await connection.login("shop", "s3cret"), await connection.sendmail(SHOP, ANN, TEXT)


async def login_by_hand(connection: aiosmtplib.SMTP) -> Any:
    return [
        await connection.ehlo(),
        await connection.execute_command(b"AUTH", b"LOGIN"),
        await connection.execute_command(b"c2hvcA=="),
        await connection.execute_command(b"czNjcmV0"),
    ]


async def by_hand(connection: aiosmtplib.SMTP) -> Any:
    said = [await connection.mail(SHOP), await connection.rcpt(ANN)]
    try:
        await connection.rcpt("unknown@example.org")
    except aiosmtplib.SMTPRecipientRefused as error:
        said.append(told(error))
    return [*said, await connection.data(TEXT), await connection.rset()]


async def asked(connection: aiosmtplib.SMTP) -> Any:
    said = [await connection.ehlo(), await connection.vrfy(ANN), await connection.help(), await connection.noop()]
    said += [connection.esmtp_extensions, connection.supports_extension("smtputf8"), connection.server_auth_methods]
    return [*said, await connection.helo(), await connection.execute_command(b"ETRN", b"example.org")]


async def quit_and_again(server: MailServer) -> Any:
    connection = client(server)
    said = [await connection.connect(), await connection.quit(), connection.is_connected]
    try:
        await connection.noop()
    except aiosmtplib.SMTPServerDisconnected as error:
        said.append(str(error))
    return [*said, await connection.connect(), await connection.sendmail(SHOP, ANN, TEXT), await connection.quit()]


async def encrypted(server: MailServer) -> Any:
    async with client(server) as connection:
        before = connection.get_transport_info("sslcontext") is None
        said = await connection.starttls(tls_context=server.trust())
        after = connection.get_transport_info("sslcontext") is None
        return before, said, after, await connection.login("shop", "s3cret"), await connection.sendmail(SHOP, ANN, TEXT)


async def encrypted_twice(server: MailServer) -> Any:
    async with client(server, start_tls=True, tls_context=server.trust()) as connection:
        await connection.starttls()


async def encrypted_by_itself(server: MailServer) -> Any:
    async with client(server, start_tls=None, tls_context=server.trust(), username="shop", password="s3cret") as smtp:
        return await smtp.send_message(message())


async def untrusted(server: MailServer) -> Any:
    async with client(server) as connection:
        await connection.starttls()


async def over_tls(server: MailServer) -> Any:
    settings: dict[str, Any] = {"port": server.secure, "use_tls": True, "start_tls": None}
    async with client(server, tls_context=server.trust(), **settings) as connection:
        return await connection.send_message(message()), connection.get_transport_info("sslcontext") is None


async def in_one_call(server: MailServer) -> Any:
    return await aiosmtplib.send(
        message(), hostname="127.0.0.1", port=server.port, local_hostname="web", start_tls=False, timeout=10
    )


async def refused_connection(server: MailServer) -> Any:
    await client(server, port=server.free).connect()


async def busy_at_a_recipient(connection: aiosmtplib.SMTP) -> Any:
    return await connection.sendmail(SHOP, [ANN, "busy@example.org"], TEXT)


EXERCISES: dict[str, Exercise] = {
    "sendmail": within(lambda c: c.sendmail(SHOP, [ANN, BOB], TEXT)),
    "one recipient, bytes": within(lambda c: c.sendmail(SHOP, ANN, TEXT.encode())),
    "send_message": within(lambda c: c.send_message(message())),
    "send": in_one_call,
    "alternatives and attachment": within(attached),
    "international address": within(lambda c: c.send_message(message("Grüße", to="jörg@example.org"))),
    "options": within(lambda c: c.sendmail(SHOP, ANN, TEXT, mail_options=["BODY=8BITMIME"])),
    "several mails over one connection": within(several),
    "several mails at once": within(at_once),
    "some recipients refused": within(lambda c: c.sendmail(SHOP, [ANN, "unknown@example.org"], TEXT)),
    "all recipients refused": failing(lambda c: c.sendmail(SHOP, ["unknown@example.org"], TEXT)),
    "sender refused": failing(lambda c: c.sendmail("refused@example.org", ANN, TEXT)),
    "data refused": failing(lambda c: c.sendmail(SHOP, ANN, TEXT.replace("Welcome", "spam"))),
    "message too large": failing(lambda c: c.sendmail(SHOP, ANN, TEXT + "x\n" * 60_000)),
    "server busy": failing(lambda c: c.sendmail("busy@example.org", ANN, TEXT)),
    "server busy at a recipient": failing(busy_at_a_recipient),
    "server gone at MAIL": failing(lambda c: c.sendmail("drop@example.org", ANN, TEXT)),
    "server gone after the message": failing(lambda c: c.sendmail(SHOP, ANN, TEXT.replace("Welcome", "hang up"))),
    "mail after a refused one": within(after_a_refusal),
    "not an address": failing(lambda c: c.sendmail(SHOP, "ann\r\nRCPT TO:<bob>", TEXT)),
    "login": within(login),
    "wrong password": failing(lambda c: c.login("shop", "wrong")),
    "STARTTLS": encrypted,
    "STARTTLS twice": encrypted_twice,
    "STARTTLS and login while connecting": encrypted_by_itself,
    "certificate not trusted": untrusted,
    "over TLS": over_tls,
    "connection refused": refused_connection,
    "MAIL, RCPT and DATA by hand": within(by_hand),
    "AUTH by hand": within(login_by_hand),
    "what the server can": within(asked),
    "quit and connect again": quit_and_again,
}


class TestAiosmtplib(BoundaryContract):
    subject = "aiosmtplib"
    library = "aiosmtplib"
    boundary = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (pools,)
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    local: ClassVar[frozenset[str]] = frozenset(
        {"wrong password", "STARTTLS twice", "certificate not trusted", "AUTH by hand", "connection refused"}
    )
    unreached: ClassVar[frozenset[str]] = frozenset({"connection refused"})


@pytest.fixture
def _seams() -> Iterator[None]:
    """Its seams, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    for module in (aiosmtplib.smtp, aiosmtplib.protocol):
        patching.install(boundary.patches(module))
    yield
    patching.restore_all()
    patching.install(others)


@pytest.mark.usefixtures("_seams")
def test_password_is_in_no_request(outside: MailServer) -> None:
    """Neither as it is nor as AUTH sends it, by `login` or by hand."""
    for use in (login, login_by_hand):
        recorder = MemoryRecorder()
        with recorder.open():
            asyncio.run(within(use)(outside))
        said = repr([one.request for one in recorder.finish()])

        assert "auth" in said or "login" in said
        assert not [form for form in ("s3cret", "czNjcmV0", "c2hvcA") if form in said]


@pytest.mark.usefixtures("_seams")
def test_mail_by_hand_is_the_same_effect(outside: MailServer) -> None:
    """To those who were accepted, in any order."""
    found = []
    for use in (lambda c: c.sendmail(SHOP, [ANN], TEXT), by_hand):
        recorder = MemoryRecorder()
        with recorder.open():
            asyncio.run(within(use)(outside))
        forms = [decode(one.request) for one in recorder.finish()]
        found += [MAIL.canonical(form) for form in forms if MAIL.is_effect(form)]

    assert 2 == len(found)
    assert found[0] == found[1]


@pytest.mark.usefixtures("_seams")
def test_connection_from_before_the_replay_sends_nothing(outside: MailServer) -> None:
    """What the app connected outside of the replay stays silent in it."""
    recorder = MemoryRecorder()
    with recorder.open():
        said = asyncio.run(within(lambda c: c.sendmail(SHOP, ANN, TEXT))(outside))

    async def again() -> Any:
        connection = client(outside)
        await connection.connect()
        await connection.ehlo()
        before = outside.calls()
        replayer = MemoryReplayer(recorder.finish())
        with replayer.open():
            sent = await connection.sendmail(SHOP, ANN, TEXT)
            await connection.quit()
        return sent, outside.calls() - before

    assert (said, 0) == asyncio.run(again())


@pytest.mark.usefixtures("_seams")
def test_replay_connects_where_the_recorded_program_was_connected_already(outside: MailServer) -> None:
    """The greeting that the run read of its open connection is served to a replay that has to open one."""
    loop = asyncio.new_event_loop()
    connection = client(outside)
    loop.run_until_complete(connection.connect())
    loop.run_until_complete(connection.ehlo())
    known = connection.esmtp_extensions
    _, recording = record(lambda: loop.run_until_complete(connection.sendmail(SHOP, ANN, TEXT)))
    loop.run_until_complete(connection.quit())
    loop.close()
    outside.take_away()

    async def sent(played: aiosmtplib.SMTP) -> Any:
        return await played.sendmail(SHOP, ANN, TEXT), played.esmtp_extensions

    assert (({}, "2.0.0 queued as 1"), known) == replay(lambda: asyncio.run(within(sent)(outside)), recording)
