"""Mails to customers: from coroutines by aiosmtplib, from tasks by smtplib."""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import aiosmtplib

from freight.settings import settings

__all__ = ["compose", "send", "send_blocking"]


def compose(to: str, subject: str, text: str, attachment: tuple[str, bytes] | None = None) -> EmailMessage:
    """A mail of the desk."""
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain="freight.example")
    message.set_content(text)
    if attachment is not None:
        name, content = attachment
        message.add_attachment(content, maintype="text", subtype="csv", filename=name)
    return message


async def send(message: EmailMessage) -> str:
    """Send a mail; returns what the server said."""
    _, answer = await aiosmtplib.send(
        message, hostname=settings.smtp_host, port=settings.smtp_port, start_tls=False, timeout=5
    )
    return answer


def send_blocking(message: EmailMessage) -> dict[str, tuple[int, bytes]]:
    """Send a mail; returns who was refused."""
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=5) as server:
        return server.send_message(message)
