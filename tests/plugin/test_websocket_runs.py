"""Websockets of a FastAPI service under real uvicorn, recorded in production's way and replayed by pytest."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.plugin.kiosk import Kiosk, upstream_server
from tests.plugin.wsgi_project import PATIENCE_S, project

CHAT = '''\
"""A room: each text is answered by what the upstream says; "EUR" fails."""

import os

import httpx
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

import pytest_fluxrun as fluxrun

fluxrun.init()
app = fluxrun.instrument(FastAPI())


@app.websocket("/rooms/{room}")
async def enter(socket: WebSocket, room: str):
    """Talk until the client leaves."""
    await socket.accept()
    try:
        while True:
            text = await socket.receive_text()
            async with httpx.AsyncClient() as client:
                rate = (await client.get(os.environ["UPSTREAM"] + "/rate")).json()["rate"]
            if text == "EUR":
                raise ValueError(f"no rate for {text} in {room}")
            await socket.send_text(f"{text} {rate}")
    except WebSocketDisconnect:
        pass
'''


@contextmanager
def uvicorn(shop: Kiosk, target: str, **variables: str) -> Iterator[int]:
    """Serve on a port until the block ends, then end as a deployment does: SIGTERM, and wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener, (shop.root.parent / "uvicorn.log").open("w") as log:
        command = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), target]
        environment = shop.environment(**shop.recording, **variables)
        server = subprocess.Popen(
            command, cwd=shop.root, env=environment, stdout=log, stderr=log, pass_fds=[listener.fileno()]
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE_S)


def talk(port: int, *texts: str) -> list[str]:
    """What a client got for each text, up to where the server closed on it."""
    got: list[str] = []
    with connect(f"ws://127.0.0.1:{port}/rooms/7", open_timeout=PATIENCE_S) as client:
        try:
            for text in texts:
                client.send(text)
                got.append(str(client.recv(PATIENCE_S)))
        except ConnectionClosed:
            got.append("closed")
    return got


@pytest.fixture
def shop(tmp_path: Path) -> Kiosk:
    """A room's two conversations, recorded; the upstream is gone."""
    chat = project(tmp_path, modules="chat")
    chat.write("chat.py", CHAT)
    with upstream_server() as upstream, uvicorn(chat, "chat:app", UPSTREAM=upstream.url) as port:
        answered, failed = talk(port, "USD", "CHF"), talk(port, "USD", "EUR")
    assert (["USD 3", "CHF 3"], ["USD 3", "closed"]) == (answered, failed)
    chat.write("upstream.txt", upstream.url)
    return chat


def test_websocket_runs_are_replayed_and_the_failure_is_red_until_it_is_fixed(shop: Kiosk):
    """One is a match; the one that raised is reproduced, and fixed by a change of the code."""
    url = (shop.root / "upstream.txt").read_text()

    first = shop.replay(UPSTREAM=url)
    shop.edit("chat.py", 'if text == "EUR":', 'if text == "XXX":')
    second = shop.replay(UPSTREAM=url)

    assert {"passed": 1, "failed": 1} == first.results, first.output
    assert "WEBSOCKET /rooms/{room}" in shop.python("-m", "pytest_fluxrun", "list").stdout
    assert "ValueError: no rate for EUR in 7" in first.output
    assert {"passed": 2} == second.results, second.output
