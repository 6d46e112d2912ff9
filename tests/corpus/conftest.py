"""The corpus's services: recorded once for all workers of a test session, each on a worker process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.corpus.recording import RECORD
from tests.corpus.replaying import Replays
from tests.corpus.service import Service
from tests.scenarios.conftest import once
from tests.scenarios.service import Project

__all__ = ["once", "service"]


@pytest.fixture(scope="session")
def service(once: Callable[[str, Callable[[Path], None]], Path]) -> Iterator[Callable[[str], Service]]:
    """Gives a service by name; recorded and started when it is first asked for."""
    started: dict[str, Service] = {}
    with ExitStack() as stack:

        def service(name: str) -> Service:
            if name not in started:
                project = Project(once(f"corpus-{name}", RECORD[name]))
                started[name] = Service.on(name, stack.enter_context(Replays(project)), project)
            return started[name]

        yield service
