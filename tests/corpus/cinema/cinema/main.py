"""The application. Wires the parts together; `app` is what a WSGI server serves."""

from __future__ import annotations

import logging
import time
import uuid

from flask import Flask, Response, g, jsonify, request

import pytest_fluxrun as fluxrun

fluxrun.init(project="cinema")

from cinema import bookings, database, jobs, problems, webhooks

__all__ = ["app", "jobs"]

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
logger = logging.getLogger(__name__)

api = Flask("cinema")
api.register_blueprint(bookings.blueprint)
api.register_blueprint(webhooks.blueprint)
api.register_error_handler(problems.Problem, problems.answer)


@api.before_request
def begin() -> None:
    """Note when the request began, and its id."""
    g.began_s = time.perf_counter()
    g.request_id = request.headers.get("X-Request-Id") or uuid.uuid4().hex


@api.after_request
def stamp(response: Response) -> Response:
    """Give every response an id and say how long it took."""
    took_s = time.perf_counter() - g.began_s
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Process-Time"] = f"{took_s:.6f}"
    logger.info("%s %s: %d", request.method, request.path, response.status_code)
    return response


@api.get("/health")
def health() -> Response:
    """Say that the service is up."""
    return jsonify(status="up")


database.create_tables()
app = fluxrun.instrument(api, name="cinema")
