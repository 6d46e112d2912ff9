"""The application."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_fluxrun as fluxrun

fluxrun.init(project="freight")

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from sqlalchemy import select, text
from starlette.middleware.base import RequestResponseEndpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from freight import audit, errors
from freight.cache import limit, store
from freight.carrier import gateway
from freight.database import AsyncSessions, Sessions, async_engine, engine, statement_count
from freight.models import Port
from freight.routes import accounts, invoices, network, operations, organisations, quotes, reports, shipments, tracking
from freight.settings import settings

__all__ = ["app"]


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    """Look whether the databases are there before requests come."""
    async with AsyncSessions() as database:
        api.state.ports = (await database.scalars(select(Port.code).order_by(Port.code))).all()
    with Sessions() as database_blocking:
        database_blocking.execute(text("SELECT 1"))
    await store.ping()
    yield
    await gateway.close()
    await async_engine.dispose()
    engine.dispose()
    await store.aclose()


class StatementCount:
    """Tells in a header how many SQL statements a request took."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counter = [0]
        token = statement_count.set(counter)

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-statements", str(counter[0]).encode()))
            await send(message)

        try:
            await self._app(scope, receive, stamped)
        finally:
            statement_count.reset(token)


api = FastAPI(title="Freight desk", version="4.11.0", lifespan=lifespan)
errors.install(api)
for module in (accounts, organisations, network, quotes, tracking, shipments, invoices, reports, operations):
    api.include_router(module.router)


@api.middleware("http")
async def traced(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Give each request an id, know who acts, and count uses by address."""
    began = time.perf_counter()
    request_id = request.headers.get("x-request-id") or secrets.token_hex(8)
    address = request.client.host if request.client else None
    token = audit.actor.set((request.headers.get("x-actor", "web"), address))
    try:
        left = await limit("requests", address or "unknown", settings.requests_per_minute)
        response = await call_next(request)
    except HTTPException as refused:
        return JSONResponse({"detail": refused.detail}, refused.status_code, dict(refused.headers or {}))
    finally:
        audit.actor.reset(token)
    response.headers["X-Request-Id"] = request_id
    response.headers["X-RateLimit-Left"] = str(left)
    response.headers["Server-Timing"] = f"app;dur={(time.perf_counter() - began) * 1000:.1f}"
    return response


api.add_middleware(StatementCount)
api.add_middleware(GZipMiddleware, minimum_size=2000)
app = fluxrun.instrument(api)
