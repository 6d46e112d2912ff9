"""Django's settings for all tests of one process: Django takes them once."""

from __future__ import annotations

import django
from django.conf import settings

__all__ = ["configure"]


def configure() -> None:
    """Set Django up, where nobody has; the tests' own middlewares and URLs come with each handler."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="not one",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.entries.django_site",
        LOGGING_CONFIG=None,
        USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"],
    )
    django.setup()
