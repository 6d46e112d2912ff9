"""How failures are told to clients."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import NoResultFound

from freight.carrier import CarrierError

__all__ = ["Conflict", "install"]

logger = logging.getLogger(__name__)


class Conflict(Exception):
    """What was asked for doesn't fit what is."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def install(app: FastAPI) -> None:
    """Make answers of our exceptions."""

    @app.exception_handler(Conflict)
    async def conflict(_: Request, error: Conflict) -> JSONResponse:
        return JSONResponse({"error": error.code, "message": str(error)}, 409)

    @app.exception_handler(NoResultFound)
    async def missing(request: Request, _: NoResultFound) -> JSONResponse:
        return JSONResponse({"error": "not_found", "message": f"nothing at {request.url.path}"}, 404)

    @app.exception_handler(CarrierError)
    async def carrier(_: Request, error: CarrierError) -> JSONResponse:
        logger.warning("the carrier's gateway failed: %s", error)
        return JSONResponse({"error": "carrier_unavailable", "message": str(error)}, 502)
