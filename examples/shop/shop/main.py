"""The application: `uvicorn shop.main:app`. Wires the parts together and holds no route of its own but /health."""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

import pytest_fluxrun as fluxrun

fluxrun.init(project="shop")

from shop import catalogue, coupons, database, orders, problems, webhooks  # noqa: E402  (what they read is recorded)
from shop.payments_client import payments  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the database for as long as the service runs."""
    await database.start()
    yield
    await payments.aclose()
    await database.stop()


async def stamp(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Give every response an id and say how long it took."""
    started_s = time.perf_counter()
    request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
    response = await call_next(request)
    took_s = time.perf_counter() - started_s
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Process-Time"] = f"{took_s:.6f}"
    logger.info("%s %s: %d in %.6f s", request.method, request.url.path, response.status_code, took_s)
    return response


api = FastAPI(title="shop", lifespan=lifespan)
api.add_middleware(BaseHTTPMiddleware, dispatch=stamp)
api.add_exception_handler(problems.Problem, problems.answer)
for module in (orders, coupons, webhooks, catalogue):
    api.include_router(module.router)


@api.get("/health")
async def health() -> dict[str, str]:
    """Say that the service is up."""
    return {"status": "up"}


app = fluxrun.instrument(api, name="shop")
