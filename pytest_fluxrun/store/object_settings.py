"""What an `s3://` URL and the `AWS_*` environment say about a bucket: parsed and checked, no network, no obstore."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_fluxrun.errors import SettingsError

__all__ = ["ObjectSettings", "parse_object_url"]

_OPTIONS = ("endpoint", "region", "timeout_s")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_TRUE = ("1", "true", "yes", "on")
_DEFAULT_TIMEOUT_S = 8.0
_LONGEST_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """Where a bucket is. Holds no credential.

    Attributes:
        endpoint: the server's URL, or "" for Amazon's own in the region.
        region: "" to let obstore find it (`AWS_REGION`, `AWS_DEFAULT_REGION`, else us-east-1).
        timeout_s: the longest that an operation waits, in all, for a server that doesn't answer.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    allow_http: bool
    timeout_s: float

    @property
    def location(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def attempt_s(self) -> float:
        """How long one request may take; a second is only begun in the first half of `timeout_s`."""
        return self.timeout_s / 2


def parse_object_url(url: str, environ: Mapping[str, str] | None = None) -> ObjectSettings:
    """Parse `s3://bucket/prefix?endpoint=…&region=…&timeout_s=…`.

    Raises:
        SettingsError: something in it is missing, unknown or out of bounds, or it holds credentials.
    """
    environ = os.environ if environ is None else environ
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise _refusal("the store's URL holds credentials", "URLs end up in logs and reports", _CREDENTIALS_STEP)
    bucket = parts.netloc
    if not bucket or parts.fragment or "%" in bucket or ":" in bucket:
        raise _refusal(f"the store s3://{bucket} can't be used", "it is s3://bucket/prefix, both plain", _URL_STEP)
    options = _options(parts.query)
    from_environment = (environ.get(variable, "") for variable in _ENDPOINT_VARIABLES)
    endpoint = options.get("endpoint") or next(filter(None, from_environment), "")
    return ObjectSettings(
        bucket=bucket,
        prefix=unquote(parts.path).strip("/"),
        endpoint=endpoint.rstrip("/"),
        region=options.get("region", ""),
        allow_http=_http_is_allowed(endpoint, environ),
        timeout_s=_timeout_s(options.get("timeout_s", "")),
    )


_URL_STEP = "correct the setting `store` (or FLUXRUN_STORE), then run `fluxrun check`"
_CREDENTIALS_STEP = "take them out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise _refusal(
            f"the store's URL has an unknown option {unknown[0]!r}", f"known are {', '.join(_OPTIONS)}", _URL_STEP
        )
    return options


def _timeout_s(text: str) -> float:
    try:
        timeout_s = float(text) if text else _DEFAULT_TIMEOUT_S
    except ValueError:
        timeout_s = -1.0
    if 0 < timeout_s <= _LONGEST_TIMEOUT_S:
        return timeout_s
    why = f"it is a number of seconds, more than 0 and at most {_LONGEST_TIMEOUT_S:g}"
    raise _refusal(f"the store's timeout_s {text!r} can't be used", why, _URL_STEP)


def _http_is_allowed(endpoint: str, environ: Mapping[str, str]) -> bool:
    if not endpoint:
        return False
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise _refusal(
            "the store's endpoint can't be used",
            "it is a URL like https://s3.example.com, without credentials",
            "correct `endpoint` in the store's URL, or AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL",
        )
    if parts.scheme == "https":
        return False
    if _is_loopback(parts.hostname) or environ.get("AWS_ALLOW_HTTP", "").lower() in _TRUE:
        return True
    raise _refusal(
        f"the store's endpoint http://{parts.hostname} can't be used",
        "without TLS anybody on the way can read the index of each run and replace answers",
        "use https, or set AWS_ALLOW_HTTP=true if the network in between is yours",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(what: str, why: str, next_step: str) -> SettingsError:
    return SettingsError(what, why=why, next_step=next_step)
