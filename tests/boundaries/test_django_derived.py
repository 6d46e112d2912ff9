"""What Django makes of secrets and keeps in its caches: recorded in a run, and given back in its replay."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import django
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import django as django_boundary
from pytest_fluxrun.recording.redaction import redact
from tests import ambient_runs
from tests.boundaries.read_runs import record, replay
from tests.django_settings import configure

_SUMMARIES = "django.contrib.auth.forms" if django.VERSION < (6,) else "django.contrib.auth.templatetags.auth"
MODULES = (
    "django.middleware.csrf",
    "django.contrib.auth.base_user",
    "django.contrib.auth.tokens",
    "django.contrib.contenttypes.models",
    "django.core.mail.utils",
    "django.utils.log",
    "django.views.debug",
    _SUMMARIES,
)


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    """Django's seams alone."""
    configure()
    others = patching.installed_patches()
    patching.restore_all()
    for name in MODULES:
        patching.install(django_boundary.boundary.patches(import_module(name)))
    yield
    patching.restore_all()
    patching.install(others)


def test_masked_csrf_token_is_given_back() -> None:
    """It can't be made again where its secret was redacted; outside of runs a new one is made each time."""
    csrf = import_module("django.middleware.csrf")
    secret = ["a" * 32]

    def page() -> list[str]:
        return [csrf._mask_cipher_secret(secret[0]), csrf._mask_cipher_secret(secret[0])]

    given, recording = record(page)
    secret[0] = "fx" + "0" * 30

    assert given == replay(page, recording)
    assert given[0] != given[1]
    assert given[0] not in page()


def test_masked_csrf_token_is_redacted_like_its_secret() -> None:
    """The secret can be read off it, so that it may stand nowhere in a run, the page that holds it included."""
    csrf = import_module("django.middleware.csrf")
    given, recording = record(lambda: csrf._mask_cipher_secret("a" * 32))

    redacted = redact({"reads": recording.reads, "body": f'<input value="{given}">'}, key=b"k" * 32)

    assert given not in str(redacted.tree)
    assert redacted.tree["body"] == f'<input value="{redacted.tokens[0]}">'


def test_digest_of_a_user_is_given_back() -> None:
    """Sessions hold it; it is made of the hash of a password, which redaction takes."""
    user = import_module("django.contrib.auth.models").User()
    user.password = "pbkdf2_sha256$1$salt$hash"

    given, recording = record(user.get_session_auth_hash)
    user.password = "fx-a-token-in-its-place"

    assert given == replay(user.get_session_auth_hash, recording)
    assert given != user.get_session_auth_hash()


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (
            "pbkdf2_sha256$1000$saltysalt$c2VjcmV0IGhhc2g=",
            {"algorithm": "pbkdf2_sha256", "iterations": 1000, "salt": "saltys***", "hash": "c2Vjcm**********"},
        ),
        ("no hash of a password", None),
    ],
)
def test_summary_of_a_password_is_given_back(stored: str, shown: dict[str, Any] | None) -> None:
    """The masked parts of a hash, which an admin's page shows; a token has none, and nor has what is no hash."""
    module = import_module(_SUMMARIES)
    value = [stored]

    def page() -> dict[str, Any] | None:
        try:
            summary: dict[str, Any] = module.identify_hasher(value[0]).safe_summary(value[0])
        except ValueError:
            return None
        return summary

    given, recording = record(page)
    value[0] = "fx-a-token-in-its-place"

    assert shown == given == replay(page, recording)
    assert page() is None


def test_content_type_that_the_cache_held_is_in_a_cold_one_too() -> None:
    """A warm process asks no database; the cold one of a replay is given what that one held, by each way to ask."""
    models = import_module("django.contrib.contenttypes.models")
    manager = models.ContentType.objects
    opts = SimpleNamespace(app_label="shop", model_name="order")

    def asked() -> list[Any]:
        found = [manager.get_for_id(7), manager._get_from_cache(opts), manager.get_by_natural_key("shop", "order")]
        return [(one.id, one.app_label, one.model) for one in found]

    manager._add_to_cache("default", models.ContentType(id=7, app_label="shop", model="order"))
    given, recording = record(asked)
    manager.clear_cache()
    again = replay(asked, recording)
    manager.clear_cache()

    assert given == again == [(7, "shop", "order")] * 3


def test_name_of_the_machine_is_kept_though_django_asks_once() -> None:
    """A run that finds it in Django's cache holds it, too; one without it gets a name without a look-up."""
    name = import_module("django.core.mail.utils").CachedDnsName()
    name._fqdn = "recorded.example"

    given, recording = record(name.get_fqdn)
    name._fqdn = "here.example"

    assert "recorded.example" == given == replay(name.get_fqdn, recording)
    assert "localhost" == replay(name.get_fqdn, record(lambda: None)[1])


def test_report_of_an_error_is_that_of_the_recorded_process() -> None:
    """With its paths and the addresses of its objects; one of another error doesn't look into the frames."""
    reporter = import_module("django.views.debug").ExceptionReporter
    looked_at = []

    class Lazy:
        def __repr__(self) -> str:
            looked_at.append(self)
            return f"<lazy at {id(self)}>"

    def report(text: str = "gone") -> str:
        lazy = Lazy()
        try:
            raise LookupError(text, lazy is None)
        except LookupError as error:
            return reporter(None, type(error), error, error.__traceback__).get_traceback_html()

    given, recording = record(report)
    seen = len(looked_at)

    assert given == replay(report, recording)
    assert type(given) is str
    assert "<title>" not in replay(lambda: report("lost"), recording)
    assert (True, seen) == (seen > 0, len(looked_at))


def test_mail_to_admins_about_an_error_is_no_part_of_a_run() -> None:
    """It is sent while a run is recorded, and not at replay."""
    log = import_module("django.utils.log")
    sent: list[str] = []

    class Handler(log.AdminEmailHandler):
        def send_mail(self, subject: str, *args: Any, **kwargs: Any) -> None:
            sent.append(subject)

    def fail() -> None:
        logging.getLogger("django.test").error("no %s", "rate")

    logger = logging.getLogger("django.test")
    logger.addHandler(handler := Handler())
    try:
        _, recording = record(fail)
        replay(fail, recording)
    finally:
        logger.removeHandler(handler)

    assert ["ERROR: no rate"] == [subject.removeprefix("[Django] ") for subject in sent]


def test_token_that_resets_a_password_is_checked_as_it_was() -> None:
    """The hash in it is redacted, so that no token would be right at replay."""
    generator = import_module("django.contrib.auth.tokens").PasswordResetTokenGenerator()
    user = SimpleNamespace(
        pk=1, password="pbkdf2$1$salt$hash", last_login=None, email="", get_email_field_name=lambda: "email"
    )
    token = generator.make_token(user)

    def check() -> list[bool]:
        return [generator.check_token(user, token), generator.check_token(user, f"{token}x")]

    given, recording = ambient_runs.record(check)
    user.password = "fxHashTokenQrstuvwxyz"

    assert [True, False] == given == ambient_runs.replay(recording, check, tokens=(user.password,)).result
    assert [False, False] == check()
