"""Replays every run of a service on an edited copy of its source, each copy in a fork of a prepared process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from tests.scenarios.service import Project

__all__ = ["Replays", "Session"]


@dataclass(frozen=True, slots=True)
class Session:
    """What pytest said of one copy of the source.

    Attributes:
        exit_code: pytest's; -1 where its process died.
        items: by run id: `result`, `verdict`, `reason`, `first_divergence`, `text`.
        ran: (file, line) that ran, where it was traced: by run id, and under "" at import and start-up.
        output: what pytest printed.
    """

    exit_code: int
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    ran: dict[str, frozenset[tuple[str, int]]] = field(default_factory=dict)
    output: str = ""

    @property
    def is_red(self) -> bool:
        """Whether a guard isn't green, or the process died of what it replayed.

        Raises:
            AssertionError: pytest ended otherwise, without an item or by a usage error: that says nothing of guards.
        """
        assert self.exit_code in (-1, pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), self.output
        assert self.exit_code != pytest.ExitCode.TESTS_FAILED or self.reds, self.output
        return self.exit_code != pytest.ExitCode.OK

    @property
    def reds(self) -> list[tuple[str, str, str]]:
        """Verdict, reason and first divergence of each guard that isn't green."""
        bad = [item for item in self.items.values() if item["result"] != "passed"]
        return [(one.get("verdict", ""), one.get("reason", ""), one.get("first_divergence", "")) for one in bad]


class Replays:
    """One worker process; sessions one after another. Use as a context manager.

    Args:
        project: as it was recorded; never changed.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._worker: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        variables = self._project.environment(
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONHASHSEED="0", PYTHONPATH=str(Path(__file__).parents[2])
        )
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.corpus.worker"],
            cwd=self._project.root,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait(20)
        assert self._worker.stdout is not None
        self._worker.stdout.close()

    def session(self, sources: Mapping[str, str], *options: str, traced: bool = False, logs: bool = False) -> Session:
        """Replay every run with some files of the service changed or added.

        Args:
            sources: text by path in the project.
            options: of pytest.
            traced: note which lines run.
            logs: have the guards compare log records too.
        """
        with tempfile.TemporaryDirectory(prefix="corpus-") as directory:
            root = Path(directory, self._project.root.name)
            shutil.copytree(self._project.root, root, ignore=shutil.ignore_patterns(".*"))
            for name, text in sources.items():
                path = root / name
                path.write_text(text)
                for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
                    stale.unlink()
            for guard in (root / "runs").glob("*.guard.toml") if logs else ():
                guard.write_text("logs = true\n" + guard.read_text())
            answer = self._ask({"root": str(root), "options": options, "traced": traced})
            output = (root / "output.txt").read_text(errors="replace")
        if "died" in answer:
            return Session(-1, output=output)
        return Session(
            answer["exit_code"],
            answer["items"],
            {run: frozenset((name, line) for name, line in ran) for run, ran in answer["ran"].items()},
            output,
        )

    def _ask(self, request: dict[str, Sequence[str] | str | bool]) -> dict[str, Any]:
        assert self._worker is not None
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        answer: dict[str, Any] = json.loads(self._worker.stdout.readline())
        return answer
