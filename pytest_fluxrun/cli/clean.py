"""Replays of many runs for one command, each in a process that has imported the app and replayed nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any, Final

from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.cli.replay import dated, stages_for
from pytest_fluxrun.errors import RunNotReady
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.execution.stage import Shown
from pytest_fluxrun.execution.zygote import Zygote, lost_threads
from pytest_fluxrun.run import Run

__all__ = ["CleanReplays"]

_SLACK_S: Final = 20


class CleanReplays:
    """So that no run finds in a cache what an earlier one has read. Close it. Not thread-safe.

    Args:
        project: whose app is imported when the first run comes.

    Raises:
        SettingsError: no modules are set.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._zygote: Zygote | None = None
        self._by_id: dict[str, Run] = {}
        self._stages = stages_for(project, imported=self._fork)

    def replay(self, run: Run) -> Shown:
        """One replay. What the app prints goes to standard error.

        Raises:
            RunNotReady: something stands in the way, or no such process can be had.
            EntryNotFound: the project's modules don't register the run's entry.
        """
        with redirect_stdout(sys.stderr):
            self._stages.prepare(run)
            anew = self._stages.replay_anew(run)
        return dated(self._project, anew or self._forked(run), run)

    def close(self) -> None:
        """End every process, and shut the app down."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
        with redirect_stdout(sys.stderr):
            self._stages.close()

    def _forked(self, run: Run) -> Shown:
        if self._zygote is None:
            raise _not_clean(f"there are threads that a fork would lose: {', '.join(lost_threads())}")
        deadline_s = self._project.settings.timeout_s + _SLACK_S
        answer = self._zygote.ask({"run": run.to_payload().decode()}, deadline_s=deadline_s)
        if "evidence" not in answer:
            raise _not_clean(str(answer.get("error", answer)))
        return Shown(evidence=Evidence.from_document(answer["evidence"]), stacks=str(answer["stacks"]))

    def _fork(self) -> None:
        if not lost_threads():
            self._zygote = Zygote(self._work)

    def _work(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """In a child: replay one run on the app as it was imported."""
        with redirect_stdout(sys.stderr):
            shown = self._stages.here.replay(Run.from_payload(str(request["run"]).encode()))
        return {"evidence": shown.evidence.to_document(), "stacks": shown.stacks}


def _not_clean(why: str) -> RunNotReady:
    return RunNotReady(
        "the run can't be replayed in a process of its own",
        reasons=("not-isolated",),
        why=why,
        next_step="name it alone: then it is the only one that the command replays",
    )
