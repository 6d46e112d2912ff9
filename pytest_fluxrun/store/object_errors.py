"""From obstore's error text to an error of ours. The text is searched, never shown: servers echo keys in it."""

from __future__ import annotations

import re

from pytest_fluxrun.errors import AccessDenied, StoreError, StoreUnreachable
from pytest_fluxrun.store.object_settings import ObjectSettings

__all__ = ["NotImplementedByServer", "explain"]

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
# Where obstore looks for credentials when the environment names none: EC2's metadata service.
_METADATA = re.compile(r"/latest/(?:api/token|meta-data)|169\.254\.1(?:69\.254|70\.)|TokenRequest|InstanceCredentials")
_BROKE_OFF = "the connection broke off"
_TRANSPORT = (
    (re.compile(r"dns error", re.IGNORECASE), "its host name doesn't resolve"),
    (re.compile(r"ConnectionRefused|Connection refused"), "the connection was refused"),
    (re.compile(r"certificate|UnknownIssuer|InvalidCertificate|tls handshake", re.IGNORECASE), "TLS failed"),
    (re.compile(r"kind: Timeout|TimedOut|timed out"), "it gave no answer in time"),
    (re.compile(r"ConnectionReset|IncompleteMessage|UnexpectedEof|kind: (?:Body|Decode|Interrupted)"), _BROKE_OFF),
)
_DENIED = {"401", "403"}
_TRY_LATER = {"408", "429"}
_UNSUPPORTED_CODES = {"NotImplemented", "XNotImplemented"}


class NotImplementedByServer(StoreError):
    """The server doesn't know the request's precondition."""


def explain(text: str, settings: ObjectSettings) -> StoreError:
    """Return the error that tells what obstore's message `text` means for the bucket of `settings`."""
    if _METADATA.search(text):
        return AccessDenied(
            f"{settings.location} can't be used",
            why="no AWS credentials were found in the environment, a profile or the machine's role",
            next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, then run `fluxrun check`",
        )
    status = _STATUS.search(text)
    if status is not None:
        code = _CODE.search(text)
        return _explain_status(status[1], code[1] if code else "", settings)
    if "BareRedirect" in text or "redirect without LOCATION" in text:
        return StoreError(
            f"{settings.location} can't be used",
            why="the bucket is in another region than the one that was asked",
            next_step="set AWS_REGION, or `?region=` in the store's URL, then run `fluxrun check`",
        )
    reason = next((reason for pattern, reason in _TRANSPORT if pattern.search(text)), "its answer isn't S3's")
    return StoreUnreachable(
        f"{settings.location} was not reached at {_server(settings)}",
        why=f"{reason} (waited at most {settings.timeout_s:g} s)",
        next_step="check the endpoint and the network, then run `fluxrun check`",
    )


def _explain_status(status: str, code: str, settings: ObjectSettings) -> StoreError:
    answer = f"{_server(settings)} answered {status}{f' {code}' if code else ''}"
    if status in _DENIED:
        return AccessDenied(
            f"{settings.location} refused access",
            why=answer,
            next_step="check the AWS credentials and their rights on this bucket and prefix, then run `fluxrun check`",
        )
    if code == "NoSuchBucket" or status == "404":
        return StoreError(
            f"the bucket {settings.bucket!r} doesn't exist",
            why=answer,
            next_step="create it or correct the setting `store`, then run `fluxrun check`",
        )
    if status == "501" or code in _UNSUPPORTED_CODES:
        return NotImplementedByServer(
            f"{settings.location} doesn't support the request", why=answer, next_step="run `fluxrun check`"
        )
    if status.startswith("5") or status in _TRY_LATER:
        return StoreUnreachable(
            f"{settings.location} is not available",
            why=answer,
            next_step="try again later; `fluxrun check` shows whether it is back",
        )
    return StoreError(f"{settings.location} refused the request", why=answer, next_step="run `fluxrun check`")


def _server(settings: ObjectSettings) -> str:
    return settings.endpoint or "Amazon S3"
