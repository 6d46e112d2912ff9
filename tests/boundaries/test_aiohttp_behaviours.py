"""aiohttp against the table of behaviours that every HTTP client is held to."""

from __future__ import annotations

from typing import ClassVar

from pytest_fluxrun.boundaries import aiohttp as aiohttp_boundary
from tests.boundaries.clients.aiohttp import adapter
from tests.boundaries.http_behaviours import exercises
from tests.boundaries.http_contract import HttpContract


class TestAiohttp(HttpContract):
    """aiohttp."""

    library, subject = "aiohttp", "aiohttp"
    boundary = aiohttp_boundary.boundary
    exercises: ClassVar = exercises(adapter)
