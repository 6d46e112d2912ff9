"""Logging in and out, and what a user sets for themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel
from sqlalchemy import select

from freight.cache import key, limit, store
from freight.database import AsyncDatabase
from freight.models import Organisation, User
from freight.security import COOKIE, CurrentAccount, close_session, open_session, verified

router = APIRouter(tags=["accounts"])


class Credentials(BaseModel):
    email: str
    password: str


class Preferences(BaseModel):
    language: str = "en"
    units: str = "metric"
    digest: bool = True


@router.post("/login")
async def login(given: Credentials, response: Response, database: AsyncDatabase) -> dict[str, Any]:
    """Open a session; its cookie is signed."""
    await limit("login", given.email, 20)
    user = await database.scalar(select(User).where(User.email == given.email.lower()))
    if user is None or not user.active or not verified(given.password, user.password_hash):
        raise HTTPException(401, "wrong address or password")
    user.last_login_at = datetime.now(UTC)
    await database.commit()
    cookie = await open_session(user)
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="lax")
    return {"email": user.email, "name": user.full_name, "organisation": user.organisation.name}


@router.post("/logout", status_code=204)
async def logout(account: CurrentAccount, response: Response) -> None:
    """Close the session."""
    await close_session(account)
    response.delete_cookie(COOKIE)


@router.get("/me")
async def me(account: CurrentAccount, database: AsyncDatabase) -> dict[str, Any]:
    """The account, and how many sessions it has."""
    user = await database.get_one(User, account.user_id)
    sessions = await store.scard(key("sessions-of", account.user_id))
    return {
        "email": user.email,
        "name": user.full_name,
        "role": user.role,
        "organisation": {"code": user.organisation.code, "currency": user.organisation.currency},
        "last_login_at": user.last_login_at,
        "sessions": sessions,
    }


@router.get("/me/preferences")
async def preferences(account: CurrentAccount, database: AsyncDatabase) -> dict[str, Any]:
    """What the user set, or their organisation; cached."""
    name = key("preferences", account.user_id)
    stored = await store.get(name)
    if stored is None:
        organisation = await database.get_one(Organisation, account.organisation_id)
        stored = Preferences.model_validate(organisation.preferences).model_dump_json()
        await store.set(name, stored, ex=3600)
    found = json.loads(stored)
    weight = "kg" if found["units"] == "metric" else "lb"
    return {"language": found["language"], "digest": found["digest"], "weight_unit": weight}


@router.put("/me/preferences")
async def set_preferences(account: CurrentAccount, wanted: Preferences) -> Preferences:
    """Keep what the user wants for a month."""
    await store.set(key("preferences", account.user_id), wanted.model_dump_json(), ex=30 * 86400)
    return wanted
