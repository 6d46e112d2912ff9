"""What a framework does after the response, in a task that outlives the request, is part of the request's run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from quart import Quart

from pytest_fluxrun.entries import asgi
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries.asgi_client import request
from tests.entries.web_behaviours import WebRequest, aask


def quart(outside: Any) -> Quart:
    app = Quart("jobs")

    async def job() -> None:
        await asyncio.sleep(0.05)
        await aask("POST", f"{outside.url}/count", json={"job": "late"})

    async def failing() -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("no such job")

    @app.get("/one")
    async def one() -> str:
        app.add_background_task(job)
        return "accepted"

    @app.get("/more")
    async def more() -> str:
        for work in (job, failing, job):
            app.add_background_task(work)
        return "accepted"

    return app


def asking(path: str) -> Any:
    async def invoke(app: Any, _: Any) -> Any:
        answer = await request(app, WebRequest("GET", path))
        await asyncio.gather(*app.background_tasks)
        return answer

    return invoke


class TestQuartBackground(EntryContract):
    entry = asgi.entry
    subject = "Quart, background tasks"
    library = "quart"
    exercises: ClassVar[Mapping[str, Exercise]] = {
        "late-background-work": Exercise(quart, asking("/one"), calls=1),
        "several-background-tasks": Exercise(quart, asking("/more"), calls=2),
    }

    def test_task_without_end_does_not_keep_the_run_open(self, outside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The run is ended after a bounded time, and only once; what the task does then is late."""
        monkeypatch.setattr(asgi, "_MOST_BACKGROUND_S", 0.02)
        with self.recording() as runs:
            self.invoke("late-background-work", self.wrapped("late-background-work", outside), outside)

        assert 1 == runs.opened[0].late
        assert () == runs.dumped()[0].recording.interactions
