"""A project of one service that a test wrote, recorded for real in a process of its own."""

from __future__ import annotations

from pathlib import Path

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
from tests.plugin.kiosk import SETTINGS, Kiosk

__all__ = ["new_kiosk", "recorded_kiosk"]


def new_kiosk(base: Path, settings: str = SETTINGS, *, service: str = "", name: str = "kiosk") -> Kiosk:
    """A project with keys of its own, which nothing has run yet.

    Args:
        base: where to make its directory, and beside that its owner's configuration.
        settings: of `pyproject.toml`.
        service: the source of the module `service`, if it has one.
        name: of the directory, and of the project in the settings.
    """
    kiosk = Kiosk(base / name, ProjectKey.generate(Algorithm.X25519), Token.generate())
    kiosk.runs.mkdir(parents=True)
    if service:
        kiosk.write("service.py", service)
    kiosk.write("pyproject.toml", settings)
    trust = Trust(name, (Recipient(kiosk.key.public),), (Producer.of(kiosk.token),))
    write_trust(kiosk.root / "fluxrun-trust.toml", trust)
    write_project_key(base / "config" / "fluxrun" / f"{name}.key", kiosk.key)
    return kiosk


def recorded_kiosk(base: Path, service: str, settings: str, record: str, *arguments: str, **variables: str) -> Kiosk:
    """The project after the program `record` has run the service.

    Args:
        base: where to make it.
        service: the source of the module `service`.
        settings: of `pyproject.toml`; "" for the usual ones.
        record: source of a program that imports `service`.
        arguments: of that program.
        variables: of its environment.
    """
    kiosk = new_kiosk(base, settings or SETTINGS, service=service)
    done = kiosk.python("-c", record, *arguments, **(kiosk.recording | variables))
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return kiosk
