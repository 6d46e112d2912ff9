"""Who is asking, and what they may do: a signed cookie names a session that lies in Redis."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import Cookie, Depends, HTTPException
from itsdangerous import BadSignature, Signer

from freight.cache import key, store
from freight.models import Role, User
from freight.settings import settings

__all__ = ["COOKIE", "Account", "CurrentAccount", "allowed", "close_session", "hasher", "open_session", "verified"]

COOKIE: Final = "freight_session"
hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
_signer = Signer(settings.cookie_secret.get_secret_value(), salt="session")

_PERMISSIONS: Final[dict[Role, frozenset[str]]] = {
    Role.ADMIN: frozenset({"read", "plan", "bill", "administer", "customers"}),
    Role.PLANNER: frozenset({"read", "plan", "customers"}),
    Role.CLERK: frozenset({"read", "bill", "customers"}),
    Role.CUSTOMER: frozenset({"read"}),
}


@dataclass(frozen=True, slots=True)
class Account:
    """Who is logged in, as the session remembers them."""

    session_id: str
    user_id: uuid.UUID
    organisation_id: uuid.UUID
    email: str
    role: Role

    def may(self, permission: str) -> bool:
        """Whether their role includes a permission."""
        return permission in _PERMISSIONS[self.role]


def verified(password: str, password_hash: str) -> bool:
    """Whether a password is the right one."""
    try:
        return hasher.verify(password_hash, password)
    except VerificationError:
        return False


async def open_session(user: User) -> str:
    """Remember a user; returns the cookie's value."""
    session_id = secrets.token_urlsafe(18)
    facts = {
        "user": str(user.id),
        "organisation": str(user.organisation_id),
        "email": user.email,
        "role": user.role.value,
        "since": datetime.now(UTC).isoformat(),
    }
    async with store.pipeline(transaction=True) as pipe:
        pipe.hset(key("session", session_id), mapping=facts)
        pipe.expire(key("session", session_id), settings.session_ttl_s)
        pipe.sadd(key("sessions-of", user.id), session_id)
        await pipe.execute()
    return _signer.sign(session_id).decode()


async def close_session(account: Account) -> None:
    """Forget a session."""
    async with store.pipeline(transaction=True) as pipe:
        pipe.delete(key("session", account.session_id))
        pipe.srem(key("sessions-of", account.user_id), account.session_id)
        await pipe.execute()


async def current_account(freight_session: Annotated[str | None, Cookie()] = None) -> Account:
    """The account of the request's session; 401 where there is none."""
    if freight_session is None:
        raise HTTPException(401, "not logged in")
    try:
        session_id = _signer.unsign(freight_session).decode()
    except BadSignature:
        raise HTTPException(401, "not our cookie") from None
    facts: dict[str, Any] = await store.hgetall(key("session", session_id))
    if not facts:
        raise HTTPException(401, "session expired")
    await store.expire(key("session", session_id), settings.session_ttl_s)
    return Account(
        session_id, uuid.UUID(facts["user"]), uuid.UUID(facts["organisation"]), facts["email"], Role(facts["role"])
    )


CurrentAccount = Annotated[Account, Depends(current_account)]


def allowed(permission: str) -> Any:
    """A dependency: the account, where its role includes a permission; else 403."""

    async def check(account: CurrentAccount) -> Account:
        if not account.may(permission):
            raise HTTPException(403, f"{account.role.value} may not {permission}")
        return account

    return Depends(check)
