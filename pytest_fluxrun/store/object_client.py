"""Makes an obstore client from settings: time-outs, retries, credentials. The only module that configures obstore."""

from __future__ import annotations

import configparser
import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from obstore.store import S3Store

from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.store.object_settings import ObjectSettings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3CredentialProvider

__all__ = ["Patience", "connect"]

Patience = Literal["short", "download", "upload"]
"""How a client waits: for a whole short exchange; for each piece of a download; for an upload, whose end is silent."""

_RETRIES = 3
_LONGEST_BODY_S = 300
# Any of these in the environment is an identity that obstore itself knows how to use.
_IDENTITY_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


def connect(settings: ObjectSettings, patience: Patience) -> S3Store:
    """Return a client that gives up on a silent server within the settings' `timeout_s`.

    Credentials are looked for as the AWS tools do: environment, then the profile, then the machine's role.

    Raises:
        SettingsError: obstore refuses the settings, or the profile can't be used.
    """
    config: S3Config = {}
    provider = None
    if not any(os.environ.get(name) for name in _IDENTITY_VARIABLES):
        config, provider = _from_profile()
    if settings.region:
        config["region"] = settings.region
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
        if os.environ.get("AWS_ENDPOINT_URL_S3"):
            config["aws_endpoint_url_s3"] = settings.endpoint
    attempt = timedelta(seconds=settings.attempt_s)
    try:
        return S3Store(
            settings.bucket,
            prefix=settings.prefix or None,
            config=config,
            client_options=_client_options(settings, patience),
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": attempt,
                "backoff": {"init_backoff": attempt / 40, "max_backoff": attempt / 4, "base": 2},
            },
            credential_provider=provider,
        )
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{settings.location} can't be used",
            why="obstore refuses the AWS_* settings in the environment",
            next_step="run `fluxrun check`, which lists them by name",
        ) from error


def _client_options(settings: ObjectSettings, patience: Patience) -> ClientConfig:
    attempt = timedelta(seconds=settings.attempt_s)
    whole = attempt if patience == "short" else timedelta(seconds=_LONGEST_BODY_S)
    options: ClientConfig = {"allow_http": settings.allow_http, "connect_timeout": attempt, "timeout": whole}
    if patience == "download":
        options["read_timeout"] = attempt
    return options


def _from_profile() -> tuple[S3Config, S3CredentialProvider | None]:
    """Return what the profile (`AWS_PROFILE`, else `default`) gives: through boto3 if installed, else static keys."""
    if find_spec("boto3") is not None:
        return _from_boto3()
    name = os.environ.get("AWS_PROFILE", "default")
    keys = _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", name)
    extra = _section("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}")
    found = extra | keys
    if "aws_access_key_id" not in found or "aws_secret_access_key" not in found:
        if "AWS_PROFILE" in os.environ:
            raise _unusable_profile(name, "it has no static keys, and anything else needs boto3", "pip install boto3")
        return {}, None
    config: S3Config = {
        "access_key_id": found["aws_access_key_id"],
        "secret_access_key": found["aws_secret_access_key"],
    }
    if token := found.get("aws_session_token"):
        config["session_token"] = token
    return _with_region(config, found.get("region", "")), None


def _from_boto3() -> tuple[S3Config, S3CredentialProvider | None]:
    from boto3.session import Session  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
    from obstore.auth.boto3 import Boto3CredentialProvider

    name = os.environ.get("AWS_PROFILE", "default")
    try:
        session = Session()
        if session.get_credentials() is None:
            return {}, None
        return _with_region({}, session.region_name or ""), Boto3CredentialProvider(session)
    except BotoCoreError as error:
        raise _unusable_profile(name, f"boto3 says {type(error).__name__}", "correct AWS_PROFILE") from error


def _with_region(config: S3Config, region: str) -> S3Config:
    if region and not os.environ.get("AWS_REGION") and not os.environ.get("AWS_DEFAULT_REGION"):
        config["region"] = region
    return config


def _section(variable: str, file_name: str, section: str) -> dict[str, str]:
    path = Path(os.environ.get(variable) or Path.home() / ".aws" / file_name)
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise _unusable_profile(section, f"{path} can't be read", f"correct {path}") from None
    return dict(parser[section]) if parser.has_section(section) else {}


def _unusable_profile(name: str, why: str, remedy: str) -> SettingsError:
    what = f"the AWS profile {name!r} can't be used"
    return SettingsError(what, why=why, next_step=f"{remedy}, then run `fluxrun check`")
