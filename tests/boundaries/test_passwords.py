"""Password checks of the libraries that make hashes: what they said is served where redaction took password or hash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import argon2
import bcrypt
import passlib.context
import pwdlib
import pwdlib.hashers.bcrypt
import pytest
import werkzeug.security

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import argon2 as argon2_seams
from pytest_fluxrun.boundaries import bcrypt as bcrypt_seams
from pytest_fluxrun.boundaries import django as django_seams
from pytest_fluxrun.boundaries import passlib as passlib_seams
from pytest_fluxrun.boundaries import pwdlib as pwdlib_seams
from pytest_fluxrun.boundaries import werkzeug as werkzeug_seams
from pytest_fluxrun.drift import DriftKind
from tests.ambient_runs import record, replay
from tests.django_settings import configure

PASSWORD = "correct horse battery"
TOKENS = ("fxSecretTokenAbcdefgh", "fxHashTokenQrstuvwxyz")
Check = Callable[[Any, Any], Any]


def _argon2(password: Any, hashed: Any) -> Any:
    try:
        return argon2.PasswordHasher().verify(hashed, password)
    except argon2.exceptions.VerifyMismatchError as error:
        return str(error)


def _bcrypt(password: Any, hashed: Any) -> Any:
    return bcrypt.checkpw(password.encode(), hashed.encode())


def _django(password: Any, hashed: Any) -> Any:
    return import_module("django.contrib.auth.hashers").check_password(password, hashed)


def _passlib(password: Any, hashed: Any) -> Any:
    return passlib.context.CryptContext(["sha256_crypt"], sha256_crypt__rounds=1000).verify(password, hashed)


def _pwdlib(password: Any, hashed: Any) -> Any:
    hasher = pwdlib.PasswordHash([pwdlib.hashers.bcrypt.BcryptHasher(rounds=4)])
    return hasher.verify(password, hashed), hasher.verify_and_update(password, hashed)


def _werkzeug(password: Any, hashed: Any) -> Any:
    return werkzeug.security.check_password_hash(hashed, password)


def _django_hash() -> str:
    configure()
    return str(import_module("django.contrib.auth.hashers").make_password(PASSWORD))


LIBRARIES: dict[str, tuple[Any, str, Check, Callable[[], str]]] = {
    "argon2": (argon2_seams, "argon2", _argon2, lambda: argon2.PasswordHasher(time_cost=1).hash(PASSWORD)),
    "bcrypt": (bcrypt_seams, "bcrypt", _bcrypt, lambda: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()),
    "django": (django_seams, "django.contrib.auth.hashers", _django, _django_hash),
    "passlib": (
        passlib_seams,
        "passlib.context",
        _passlib,
        lambda: passlib.context.CryptContext(["sha256_crypt"], sha256_crypt__rounds=1000).hash(PASSWORD),
    ),
    "pwdlib": (
        pwdlib_seams,
        "pwdlib",
        _pwdlib,
        lambda: pwdlib.PasswordHash([pwdlib.hashers.bcrypt.BcryptHasher(rounds=4)]).hash(PASSWORD),
    ),
    "werkzeug": (
        werkzeug_seams,
        "werkzeug.security",
        _werkzeug,
        lambda: werkzeug.security.generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"),
    ),
}


@pytest.fixture(params=list(LIBRARIES))
def library(request: pytest.FixtureRequest) -> Iterator[tuple[Check, str]]:
    """A library's check, its seams installed, and a hash of the password."""
    seams, module, check, make = LIBRARIES[request.param]
    hashed = make()
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(seams.boundary.patches(import_module(module)))
    yield check, hashed
    patching.restore_all()
    patching.install(others)


@pytest.mark.parametrize("given", [PASSWORD, "wrong"])
def test_what_a_check_said_is_served_for_tokens(library: tuple[Check, str], given: str) -> None:
    """Right or wrong, the recorded result comes back although neither password nor hash is known, and is noted."""
    check, hashed = library
    asked: list[Any] = [given, hashed]

    def login() -> Any:
        return check(*asked)

    expected, recording = record(login)
    asked[:] = TOKENS
    again = replay(recording, login, tokens=TOKENS)

    assert expected == again.result
    assert {kind for kind, _ in again.drifts} == {DriftKind.VERIFICATION_SERVED}


def test_without_a_token_the_check_is_a_true_one(library: tuple[Check, str]) -> None:
    """A replay whose operands are no tokens asks the library, so that a changed password is seen."""
    check, hashed = library
    asked: list[Any] = [PASSWORD, hashed]

    def login() -> Any:
        return check(*asked)

    right, recording = record(login)
    asked[0] = "another one"
    again = replay(recording, login, tokens=TOKENS)

    assert right != again.result
    assert check("another one", hashed) == again.result
    assert DriftKind.VERIFICATION_SERVED not in {kind for kind, _ in again.drifts}


def test_outside_a_run_the_library_answers(library: tuple[Check, str]) -> None:
    """With seams and no run a check is what it is without them."""
    check, hashed = library
    with_seams = check(PASSWORD, hashed), check("wrong", hashed)
    patching.restore_all()

    assert (check(PASSWORD, hashed), check("wrong", hashed)) == with_seams
