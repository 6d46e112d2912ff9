"""A project of its own per test: key, token, trust file, settings, and runs that are sealed for real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_fluxrun.bundle import (
    Algorithm,
    Index,
    Producer,
    ProjectKey,
    Recipient,
    Token,
    Trust,
    new_run_id,
    seal,
    write_project_key,
    write_trust,
)
from pytest_fluxrun.cli import fluxrun
from pytest_fluxrun.columns import pack
from pytest_fluxrun.run import Interaction, LaneSpec, Read, Readiness, Recording, Run, Segment
from pytest_fluxrun.values import dump_error, encode

APPLICATION = '''\
"""An app with one failing function."""

import os

import pytest_fluxrun as fluxrun

fluxrun.init()


@fluxrun.capture("orders.price")
def price(amount: int, rate: float = 1.0) -> dict[str, float]:
    """Give the price, or fail."""
    if amount < 0:
        raise ValueError(f"negative amount {amount}")
    return {"price": amount * rate}
'''
STARTED_NS = 1_760_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Shop:
    """A project in a directory, with what seals its runs."""

    root: Path
    key_file: Path
    key: ProjectKey
    token: Token

    @staticmethod
    def function_run(*arguments: Any, **given: Any) -> Run:
        """See the function."""
        return function_run(*arguments, **given)

    @staticmethod
    def request_run() -> Run:
        """See the function."""
        return request_run()

    def fluxrun(self, *arguments: str, code: int = 0, **given: Any) -> Result:
        """Run the command in the project's directory and check its exit code."""
        result = CliRunner().invoke(fluxrun, list(arguments), **given)
        assert code == result.exit_code, result.output
        return result

    def bundle(
        self, run: Run, *, signer: Token | None = None, recipient: ProjectKey | None = None, **index: Any
    ) -> bytes:
        """A run, sealed."""
        fields: dict[str, Any] = {
            "run_id": run.id,
            "project": run.project,
            "entry": run.entry,
            "started_at_unix_ns": run.recording.wall_ns,
            "duration_us": run.recording.duration_ns // 1000,
            "counts": {"http": len(run.recording.interactions)} if run.recording.interactions else {},
            "fluxrun_version": "0.1.0",
            "python_version": "3.11.9",
            "readiness": "unready" if run.readiness.reasons else "recorded",
            "reasons": run.readiness.reasons,
        }
        recipients = [(recipient or self.key).public]
        return seal(run.to_payload(), Index(**(fields | index)), recipients=recipients, signer=signer or self.token)

    def store(self, run: Run, directory: str = "runs", **index: Any) -> Path:
        """Seal a run into a directory; returns the file."""
        return self.store_bytes(run, self.bundle(run, **index), directory)

    def store_bytes(self, run: Run, data: bytes, directory: str = "runs") -> Path:
        """Put bytes where a run's bundle belongs."""
        path = self.root / directory / f"{run.entry}-{run.id}.fluxrun"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Return a project that is set up, with the working directory in it."""
    config = tmp_path / "config"
    key, token = ProjectKey.generate(Algorithm.X25519), Token.generate()
    root = tmp_path / "shop"
    (root / "runs").mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[tool.fluxrun]\nproject = "shop"\nmodules = ["pricing"]\nstore = "runs"\nrelease = "r42"\n'
    )
    (root / "pricing.py").write_text(APPLICATION)
    key_file = config / "fluxrun" / "shop.key"
    write_project_key(key_file, key)
    write_trust(root / "fluxrun-trust.toml", Trust("shop", (Recipient(key.public),), (Producer.of(token),)))
    at_home(monkeypatch, config, root)
    return Shop(root, key_file, key, token)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory, now the working directory, with a configuration directory of its own beside it."""
    root = tmp_path / "Web Shop"
    root.mkdir()
    at_home(monkeypatch, tmp_path / "config", root)
    return root


def at_home(monkeypatch: pytest.MonkeyPatch, config: Path, root: Path) -> None:
    """Work in `root` with `config` as the user's configuration directory and no FLUXRUN_* variable."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    for variable in ("FLUXRUN_PROJECT_KEY", "FLUXRUN_TOKEN", "FLUXRUN_STORE", "FLUXRUN_PROJECT", "FLUXRUN_TRUST_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(root)


def function_run(
    amount: int = -1,
    *,
    outcome: Any = None,
    interactions: Sequence[Interaction] = (),
    reasons: Sequence[str] = (),
    started_ns: int = STARTED_NS,
) -> Run:
    """A run of the pricing function as its entry records it; by default the failure."""
    failure = {"returned": None, "error": dump_error(ValueError(f"negative amount {amount}"))}
    lanes = (LaneSpec((), ()),)
    return Run(
        id=new_run_id(),
        project="shop",
        entry="orders.price",
        entry_kind="function",
        input=encode({"args": [amount], "kwargs": {}}),
        outcome=failure if outcome is None else outcome,
        recording=Recording(started_ns, 0, 0, 2_500_000, lanes=lanes, interactions=tuple(interactions)),
        readiness=Readiness("unready", tuple(reasons)) if reasons else Readiness(),
        versions={"fluxrun": "0.1.0", "python": "3.11.9", "release": "r41"},
    )


def request_run() -> Run:
    """A request that failed: a charge over HTTP in a task of its own, reads, a log record, a 500 and the error."""
    request = {
        "method": "POST",
        "url": "https://pay.example/charge",
        "headers": [["content-type", "application/json"]],
        "body": '{"amount": 1200, "key": "fluxrun-secret-1"}',
        "streamed": False,
    }
    answer = {"status": 402, "headers": [], "chunks": ['{"error": "declined"}'], "end": "eof", "error": None}
    charge = Interaction(
        "httpx", "http", 1, 1, 4_000_000, 9_500_000, encode(request), answer=encode(answer), effect=True
    )
    reads = (
        Read("time.time", "create|now = time.time()", pack([1760000000.001, 1760000000.002]), pack([0, 1])),
        Read("os.urandom", "create|uuid4()", pack([b"\x01"])),
    )
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/orders", "query_string": "dry=1",
        "headers": [["content-type", "application/json"], ["x-odd", "\x1b[31mred"]],
    }  # fmt: skip
    response = {
        "status": 500, "headers": [["content-type", "text/plain"]], "body": "Internal Server Error", "complete": True,
    }  # fmt: skip
    return Run(
        id=new_run_id(),
        project="shop",
        entry="shop",
        entry_kind="asgi",
        input=encode({"scope": scope, "events": [[0, "http.request", '{"coupon": "SPRING"}', False]]}),
        outcome={"response": response, "error": dump_error(TypeError("can't compare offsets")), "disconnected": False},
        recording=Recording(
            STARTED_NS, 0, 0, 12_000_000,
            lanes=(LaneSpec((), ()), LaneSpec((("orders.charge", 1),), (1,))),
            interactions=(charge,),
            segments=(Segment(0, -1, reads),),
            logs=({"level": "WARNING", "logger": "shop.orders", "message": "card declined", "offset_ns": 10_000_000},),
        ),
        versions={"fluxrun": "0.1.0", "python": "3.11.9", "release": "r41"},
    )  # fmt: skip
