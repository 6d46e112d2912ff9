"""A project on disk with keys of its own, and requests driven straight into an ASGI callable: no server in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_fluxrun.bundle import (
    Algorithm,
    Producer,
    ProjectKey,
    Recipient,
    Token,
    Trust,
    write_project_key,
    write_trust,
)

__all__ = ["one_request", "project"]

_SETTINGS = """\
[tool.fluxrun]
project = "bench"
modules = ["shop_front"]
[tool.pytest.ini_options]
addopts = ["-p", "no:randomly", "-p", "no:cacheprovider"]
"""


def project(directory: Path) -> dict[str, str]:
    """Make a project's files.

    Returns:
        What the environment of a process that records in it or replays in it must have.
    """
    key, token = ProjectKey.generate(Algorithm.XWING), Token.generate()
    (directory / "runs").mkdir()
    (directory / "pyproject.toml").write_text(_SETTINGS)
    write_trust(directory / "fluxrun-trust.toml", Trust("bench", (Recipient(key.public),), (Producer.of(token),)))
    write_project_key(directory / "config" / "fluxrun" / "bench.key", key)
    return {
        "XDG_CONFIG_HOME": str(directory / "config"),
        "FLUXRUN_TOKEN": token.to_text(),
        "FLUXRUN_TRUST_FILE": str(directory / "fluxrun-trust.toml"),
        "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}",
    }


def _scope(path: str) -> dict[str, Any]:
    """An HTTP scope as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"shop.example"), (b"content-type", b"application/json"), (b"user-agent", b"curl/8.0")],
    }


async def one_request(app: Any, path: str, body: bytes = b'{"article": 7, "quantity": 3}') -> None:
    """Drive the callable as a server does."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        del message

    await app(_scope(path), receive, send)
