"""Engines and sessions: psycopg for endpoints that block, asyncpg for those that don't."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from freight import audit  # noqa: F401 - it listens to sessions
from freight.settings import settings

__all__ = [
    "AsyncDatabase",
    "AsyncSessions",
    "Database",
    "Sessions",
    "async_engine",
    "engine",
    "in_transaction",
    "statement_count",
]

R = TypeVar("R")

_TRANSIENT = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected

engine = create_engine(
    settings.sync_dsn,
    pool_size=6,
    max_overflow=6,
    pool_pre_ping=True,
    connect_args={"application_name": "freight", "options": "-c statement_timeout=15000 -c timezone=UTC"},
)
async_engine = create_async_engine(
    settings.async_dsn,
    pool_size=6,
    max_overflow=6,
    pool_pre_ping=True,
    connect_args={"server_settings": {"application_name": "freight", "timezone": "UTC"}},
)
Sessions = sessionmaker(engine, expire_on_commit=False)
AsyncSessions = async_sessionmaker(async_engine, expire_on_commit=False)

statement_count: ContextVar[list[int] | None] = ContextVar("statement_count", default=None)


@event.listens_for(engine, "connect")
def _prepare(connection: Any, _record: Any) -> None:
    """What the options of a connection can't say."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")
    connection.autocommit = False


@event.listens_for(engine, "before_cursor_execute")
@event.listens_for(async_engine.sync_engine, "before_cursor_execute")
def _count(*_: Any) -> None:
    counter = statement_count.get()
    if counter is not None:
        counter[0] += 1


def sync_session() -> Iterator[Session]:
    """A session for one request; what isn't committed is rolled back."""
    with Sessions() as session:
        yield session


async def async_session() -> AsyncIterator[AsyncSession]:
    """Likewise, on asyncpg."""
    async with AsyncSessions() as session:
        yield session


Database = Annotated[Session, Depends(sync_session)]
AsyncDatabase = Annotated[AsyncSession, Depends(async_session)]


def in_transaction(work: Callable[[Session], R], *, isolation: str = "REPEATABLE READ", attempts: int = 4) -> R:
    """Do work in one transaction, again where the database asks for that: deadlocks, serialization failures."""
    for attempt in range(1, attempts + 1):
        with Sessions() as session:
            session.connection(execution_options={"isolation_level": isolation})
            try:
                result = work(session)
                session.commit()
            except DBAPIError as error:
                session.rollback()
                if attempt == attempts or getattr(error.orig, "sqlstate", None) not in _TRANSIENT:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * attempt)
            else:
                return result
    raise AssertionError("unreachable")
