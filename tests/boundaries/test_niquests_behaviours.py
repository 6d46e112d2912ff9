"""niquests, over urllib3-future, against the table of behaviours that every HTTP client is held to."""

from __future__ import annotations

from typing import ClassVar

import niquests

from pytest_fluxrun.boundaries import concurrent_futures, urllib3_future
from tests.boundaries.clients.requests import adapter_of
from tests.boundaries.http_behaviours import exercises
from tests.boundaries.http_contract import HttpContract


class TestNiquests(HttpContract):
    """niquests, its sessions."""

    library, subject = "niquests", "niquests"
    boundary = urllib3_future.boundary
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = exercises(adapter_of(niquests))
