"""Django: which route a request took, the error that it makes a 500 of, and which database a statement goes to.

Calls nothing: the run under way is told, whichever entry began it. The database's alias is a label on what the driver's
boundary records: `default` and `replica` may be one server, and matching doesn't ask. Django also computes with secrets
that redaction replaces: what a check of a password or of a CSRF token said is recorded, and what pages show of these:
masked CSRF tokens, the masked hash of a password.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.passwords.verifying import verifying
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import crossing, current_lane, outside
from pytest_fluxrun.entry import note_error, note_route

__all__ = ["boundary"]

_UNKNOWN_HOST: Final = "localhost"
_RIGHT: Final = 1
_DUE: Final = 2


class Django(Seams):
    """Where a view is found, an unhandled exception ends, statements pass, passwords and CSRF tokens are checked."""

    name: ClassVar[str] = "django"
    modules: ClassVar[tuple[str, ...]] = (
        "django.core.handlers.base",
        "django.core.handlers.exception",
        "django.db.backends.utils",
        "django.contrib.auth.base_user",
        "django.contrib.auth.hashers",
        "django.contrib.auth.forms",
        "django.contrib.auth.templatetags.auth",
        "django.middleware.csrf",
        "django.contrib.contenttypes.models",
        "django.contrib.auth.tokens",
        "django.core.mail.utils",
        "django.utils.log",
        "django.views.debug",
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """`BaseHandler.resolve_request`; `handle_uncaught_exception`, to which `got_request_exception` belongs.

        And beneath `execute_wrapper`, which would have to be added to each connection of each thread.
        """
        if module.__name__ == "django.core.handlers.base":
            yield Patch(module.BaseHandler, "resolve_request", _resolve_request)
        elif module.__name__ == "django.db.backends.utils":
            yield Patch(module.CursorWrapper, "_execute", _labelled)
            yield Patch(module.CursorWrapper, "_executemany", _labelled)
        elif module.__name__ == "django.contrib.auth.base_user":
            name = "_get_session_auth_hash" if hasattr(module.AbstractBaseUser, "_get_session_auth_hash") else None
            yield Patch(module.AbstractBaseUser, name or "get_session_auth_hash", _user_digest)
        elif module.__name__ == "django.contrib.auth.hashers":
            yield from _password_checks(module)
        elif module.__name__ in ("django.contrib.auth.forms", "django.contrib.auth.templatetags.auth"):
            if hasattr(module, "identify_hasher"):  # the forms of Django up to 5, the templates of 6
                yield Patch(module, "identify_hasher", _summarising)
        elif module.__name__ == "django.middleware.csrf":
            yield Patch(module, "_mask_cipher_secret", _masked)
            yield Patch(module, "_does_token_match", verifying("django.csrf_token", operands=_operands))
        elif module.__name__ == "django.contrib.contenttypes.models":
            yield Patch(module.ContentTypeManager, "_get_from_cache", functools.partial(_primed, _key_of_model))
            yield Patch(module.ContentTypeManager, "get_for_id", functools.partial(_primed, _key_given))
            yield Patch(module.ContentTypeManager, "get_by_natural_key", functools.partial(_primed, _natural_key))
        elif module.__name__ == "django.contrib.auth.tokens":
            wrap = verifying("django.check_token", operands=_token_operands)
            yield Patch(module.PasswordResetTokenGenerator, "check_token", wrap)
        elif module.__name__ in ("django.utils.log", "django.views.debug"):
            yield from _error_reports(module)
        elif module.__name__ == "django.core.mail.utils":
            yield Patch(module.CachedDnsName, "get_fqdn", _fqdn)
        else:
            yield Patch(module, "handle_uncaught_exception", _handle_uncaught_exception)


def _resolve_request(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resolve_request(self: Any, request: Any) -> Any:
        found = original(self, request)
        note_route(f"/{found.route.removeprefix('^')}")
        return found

    return resolve_request


def _handle_uncaught_exception(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def handle_uncaught_exception(request: Any, resolver: Any, exc_info: Any) -> Any:
        if exc_info[1] is not None:
            note_error(exc_info[1])
        return original(request, resolver, exc_info)

    return handle_uncaught_exception


def _labelled(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: Any, *args: Any) -> Any:
        lane = current_lane()
        if lane is None:
            return original(self, *args)
        before, lane.label = lane.label, self.db.alias
        try:
            return original(self, *args)
        finally:
            lane.label = before

    return execute


# -- the machine's name: asked for once in the life of the process, by the first mail ----------------------------------


def _fqdn(original: Callable[[Any], str]) -> Callable[[Any], str]:
    """What this machine calls itself to mail servers and in message ids; where no run says, without a look-up."""

    @functools.wraps(original)
    def get_fqdn(self: Any) -> str:
        session = crossing()
        if session is None:
            return original(self)
        live = _UNKNOWN_HOST if session.answers else original(self)
        name: str = session.read("cache", "django.mail.fqdn", lambda: live)
        return name

    return get_fqdn


# -- error reports: of this process, its paths and the addresses of its objects; on a page, or mailed to admins --------


def _error_reports(module: Any) -> Iterable[Patch]:
    if module.__name__ == "django.utils.log":
        yield Patch(module.AdminEmailHandler, "emit", _outside)
    else:
        yield Patch(module.ExceptionReporter, "get_traceback_text", _reported)
        yield Patch(module.ExceptionReporter, "get_traceback_html", _reported)


def _outside(original: Callable[..., None]) -> Callable[..., None]:
    """A mail about an error to those who run the site: telemetry, as it is to other services of that sort."""

    @functools.wraps(original)
    def emit(self: Any, record: Any) -> None:
        outside(original, self, record)

    return emit


def _reported(original: Callable[[Any], str]) -> Callable[[Any], str]:
    """A report as it was, where it is of the same error; of another one without a look into the frames.

    They hold lazy queries, which Django evaluates to show them: neither recorded nor made at replay.
    """

    @functools.wraps(original)
    def report(self: Any) -> str:
        session = crossing()
        if session is None:
            return original(self)
        error = f"{getattr(self.exc_type, '__name__', '')}: {self.exc_value}"

        def live() -> str:
            return f"{error}\n" if session.answers else "".join([outside(original, self)])  # no SafeString

        text: str = session.read("django", f"{original.__name__} {error}", live)
        return text

    return report


# -- secrets: Django would take a redaction token for gibberish, and say no --------------------------------------------


def _password_checks(module: Any) -> Iterable[Patch]:
    """`verify_password`, beneath `check_password`; Django 4.2 has only the latter."""
    if hasattr(module, "verify_password"):
        wrap = verifying("django.verify_password", operands=_operands, told=_told, shown=_shown)
        yield Patch(module, "verify_password", wrap)
    else:
        yield Patch(module, "check_password", verifying("django.check_password", operands=_operands))


def _operands(given: Any, stored: Any, *_: Any, **__: Any) -> tuple[Any, ...]:
    return given, stored


def _token_operands(generator: Any, user: Any, token: Any) -> tuple[Any, ...]:
    """The hash of the user's password goes into the token that is computed."""
    del generator
    return token, getattr(user, "password", None)


def _told(result: Any) -> int | None:
    if not isinstance(result, tuple):
        return None
    right, due = result
    return (_RIGHT if right else 0) + (_DUE if due else 0)


def _shown(number: int) -> tuple[bool, bool]:
    return bool(number & _RIGHT), bool(number & _DUE)


def _masked(original: Callable[[str], str]) -> Callable[[str], str]:
    """A CSRF token in the form that pages hold, by which its secret could be found: redacted like it, and served."""

    @functools.wraps(original)
    def mask_cipher_secret(secret: str) -> str:
        session = crossing()
        if session is None:
            return original(secret)
        masked: str = session.read("derived", "django.csrf_token", functools.partial(original, secret))
        return masked

    return mask_cipher_secret


def _user_digest(original: Callable[..., str]) -> Callable[..., str]:
    """A digest of the user's password hash, which sessions hold, compressed; it opens nothing, and is kept as it is."""

    @functools.wraps(original)
    def session_auth_hash(self: Any, *args: Any, **kwargs: Any) -> str:
        session = crossing()
        if session is None:
            return original(self, *args, **kwargs)
        kept: str = session.read("derived", "django.user_digest", functools.partial(original, self, *args, **kwargs))
        return kept

    return session_auth_hash


def _summarising(original: Callable[[str], Any]) -> Callable[[str], Any]:
    """The hasher of a password, of which these modules ask the summary that a page may show: it is kept as it is."""

    @functools.wraps(original)
    def identify_hasher(encoded: str) -> Any:
        session = crossing()
        if session is None:
            return original(encoded)
        summary = session.read("derived", "django.password_summary", functools.partial(_summary, original, encoded))
        if summary is None or not session.answers:
            return original(encoded)
        return SimpleNamespace(safe_summary=lambda _: dict(summary))

    return identify_hasher


def _summary(identify_hasher: Callable[[str], Any], encoded: str) -> list[list[Any]] | None:
    try:
        found = identify_hasher(encoded).safe_summary(encoded)
    except ValueError:
        return None
    return [[str(name), value] for name, value in found.items()]


# -- content types: a cache for the life of the process, from which nearly every request of a site is answered ---------


def _primed(key_of: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """A look-up in the cache: what it held is recorded, and put there before the look-up of a replay."""

    @functools.wraps(original)
    def look_up(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is not None:
            _prime(session, self, key_of(*args, **kwargs))
        return original(self, *args, **kwargs)

    return look_up


def _prime(session: Any, manager: Any, key: Any) -> None:
    database = manager.db
    held = manager._cache.get(database, {}).get(key)  # noqa: SLF001 - there is no other way to ask
    row = None if held is None else [held.id, held.app_label, held.model]
    recorded = session.read("cache", f"django.contenttypes {database} {key}", lambda: row)
    if held is None and recorded is not None:
        number, app_label, model = recorded
        found = manager.model(id=number, app_label=app_label, model=model)
        manager._add_to_cache(database, found)  # noqa: SLF001 - as above


def _key_of_model(opts: Any) -> tuple[str, str]:
    return opts.app_label, opts.model_name


def _natural_key(app_label: str, model: str) -> tuple[str, str]:
    return app_label, model


def _key_given(id: Any) -> Any:  # noqa: A002 - Django's name
    return id


boundary = Django()
