"""What a developer does with a red guard of fixed code: whatever its message suggests, and nothing else."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.judgement.guard import read_guard, write_guard
from tests.scenarios.service import Project

__all__ = ["Developer", "name_environment", "suggested"]

_LIVE = """
[tool.fluxrun.live.dev]
postgres = "$DEV_POSTGRES"
redis = "$DEV_REDIS"
http = {{ "{origin}" = "$DEV_HTTP" }}
"""

_COMMAND = re.compile(r"`fluxrun ((?:extend|expect) [^`]*)`")
_CORRECT = "correct their `reply` in its [[answers]]"
_STOCK = "if production has what it lacks, put that there"


def suggested(text: str) -> list[str]:
    """The commands that a message tells to run, first things first; giving up on the guard isn't one of them."""
    return [command for command in _COMMAND.findall(text) if "--beyond accept" not in command]


def name_environment(project: Project, origin: str) -> None:
    """Name in the project's settings the one development environment, which stands in for an upstream's origin."""
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + _LIVE.format(origin=origin))


@dataclass(slots=True)
class Developer:
    """Follows messages; knows of the outside what a message asks a person for.

    Args:
        project: where the commands run.
        variables: of their environment.
        replies: by a pattern of the call, what the outside would answer where an answer was made up.
        stock: puts into the development environment what production has.

    Attributes:
        told: every command with what it said.
    """

    project: Project
    variables: Mapping[str, str]
    replies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stock: Callable[[], None] | None = None
    told: list[str] = field(default_factory=list)

    def follow(self, placed: Placed, text: str) -> bool:
        """Run the first command of a message, then the first new one of what that says, until one is content.

        Returns:
            Whether one was.
        """
        done: set[str] = set()
        while True:
            if _CORRECT in text and "corrected" not in done:
                done = {"corrected"}  # what was suggested before may be suggested again
                self._correct(placed)
                code, text = self._run(f"replay {placed.run_id}")
            elif new := [command for command in suggested(text) if command not in done]:
                done.add(new[0])
                if _STOCK in text and self.stock is not None:
                    self.stock()
                code, text = self._run(new[0])
            else:
                return False
            if code == 0:
                return True

    def _run(self, command: str) -> tuple[int, str]:
        done = self.project.python("-m", "pytest_fluxrun", *shlex.split(command), **self.variables)
        self.told.append(f"$ fluxrun {command}\n{done.stdout}")
        return done.returncode, done.stdout

    def _correct(self, placed: Placed) -> None:
        """Write the replies that the outside would give in the place of the made-up ones."""
        path = self.project.runs / f"{placed.name}.guard.toml"
        guard = read_guard(path)
        answers = [answer.model_copy(update=self._known(answer.call)) for answer in guard.answers]
        write_guard(path, guard.model_copy(update={"answers": tuple(answers)}))

    def _known(self, call: str) -> dict[str, Any]:
        found: Sequence[Mapping[str, Any]] = [
            reply for pattern, reply in self.replies.items() if fnmatch.fnmatchcase(call, pattern)
        ]
        return {"reply": dict(found[0])} if found else {}
