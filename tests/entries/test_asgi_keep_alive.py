"""Requests on one kept-alive connection are runs of their own, also while background tasks of the one before go on."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

SERVICE = """
import asyncio, json, threading, time
import httpx, uvicorn
import pytest_fluxrun as fluxrun
from fastapi import BackgroundTasks, FastAPI
from pytest_fluxrun.recording import service

fluxrun.init(project="web", sample=1.0)
api = FastAPI()
seen = []

class Store:
    def find(self, key: str) -> str:
        return key * 2

store = fluxrun.host("store", Store())

async def later(number: str) -> None:
    await asyncio.sleep(0.3)
    store.find("late" + number)

@api.post("/{number}")
async def answer(number: str, background: BackgroundTasks) -> dict[str, str]:
    background.add_task(later, number)
    return {"found": store.find(number)}

app = fluxrun.instrument(api)
original = service._Service.finished

def finished(self, recorder, ending):
    seen.append([crossing.call.form()["args"][0] for crossing in recorder.crossings])
    original(self, recorder, ending)

"""

DRIVE = """
import socket
service._Service.finished = finished
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
sock = socket.socket(); sock.bind(("127.0.0.1", 0)); port = sock.getsockname()[1]
thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}); thread.start()
while not server.started: time.sleep(0.01)
with httpx.Client() as client:
    for number in "abc":
        body = "x" * 200_000
        assert client.post(f"http://127.0.0.1:{port}/{number}", content=body).json() == {"found": number * 2}
server.should_exit = True
thread.join()
print(json.dumps(sorted(seen)))
"""


def test_each_request_of_a_connection_is_a_run_of_its_own() -> None:
    """Three requests, each before the background task of the one before has ended: three runs with their own calls."""
    code = SERVICE + textwrap.dedent(DRIVE)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FLUXRUN_DRY_RUN": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert '[["a", "latea"], ["b", "lateb"], ["c", "latec"]]' == done.stdout.strip().splitlines()[-1]
