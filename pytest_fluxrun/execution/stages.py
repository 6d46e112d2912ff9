"""Stages: each run is replayed on an app that started as the process did which recorded it.

The first run's preamble starts the app in this process. Runs of processes that started otherwise get an app of their
own in a child of a nursery: one child per sort of start-up, a few at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from typing import Any

from pytest_fluxrun.entry import registered
from pytest_fluxrun.errors import BundleError, EntryNotFound, FluxRunError, RunNotReady
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.execution.nursery import Child, Nursery
from pytest_fluxrun.execution.preamble import content_of
from pytest_fluxrun.execution.stage import Shown, Stage, refuse_unready
from pytest_fluxrun.execution.zygote import lost_threads
from pytest_fluxrun.run import Run

__all__ = ["Stages"]

_MOST_CHILDREN = 6
_SLACK = 5
"""How many deadlines of a replay a child may take with one, its app's start included."""


class Stages:
    """The stages of one session's runs. Not thread-safe.

    Args:
        make: makes a stage, called here once, and in each child.
        imported: called once, when this process has imported the app and nothing has run.
        timeout_s: deadline of one replay.
        keep: sockets of the test run itself, from `fence.baseline()` at its start.
    """

    def __init__(
        self,
        make: Callable[[Callable[[], None]], Stage],
        *,
        imported: Callable[[], None],
        timeout_s: float,
        keep: frozenset[int] = frozenset(),
    ) -> None:
        self.here = make(imported)
        self._make = make
        self._deadline_s = _SLACK * timeout_s
        self._keep = keep
        self._started_from: Run | None = None
        self._threads: tuple[str, ...] = ()
        self._nursery: Nursery | None = None
        self._children: OrderedDict[str, tuple[Child, str]] = OrderedDict()
        self._contents: dict[str, str] = {}

    def prepare(self, run: Run) -> None:
        """Do all that comes before a run is driven: refuse what isn't ready, start an app that fits it.

        Raises:
            RunNotReady: something known stands in the way; nothing was driven.
            EntryNotFound: no imported module registers the run's entry.
        """
        refuse_unready(run)
        if self._is_here(run):
            self.here.prepare(run)
        else:
            self._ask(self._child(run), "prepare", run)

    def replay(self, run: Run) -> Shown:
        """Drive a run's entry from its recording, on an app whose start-up had the same answers.

        Raises:
            RunNotReady: as `prepare`, or a seam was displaced on the way, so that what was shown proves nothing.
            EntryNotFound: as `prepare`.
        """
        refuse_unready(run)
        if self._is_here(run):
            return self.here.replay(run)
        return self._shown(self._child(run), run)

    def replay_exactly(self, run: Run) -> Shown | None:
        """The same on an app that started from the run's very own preamble, its times included, and has run nothing.

        Returns:
            None where `replay` did so but for what ran before, or where no process can be had.

        Raises:
            RunNotReady: the app doesn't start from that preamble.
        """
        if self._nursery is None or not run.process or run.process == self._process_of(run):
            return None
        with closing(self._nursery.child()) as child:
            return self._shown(child, run)

    def replay_anew(self, run: Run) -> Shown | None:
        """The same in a process of its own for a run that isn't replayed in this one; None for one that is."""
        if self._nursery is None or self._is_here(run):
            return None
        with closing(self._nursery.child()) as child:
            return self._shown(child, run)

    def close(self) -> None:
        """Shut the app of this process down, and end the others."""
        for child, _ in self._children.values():
            child.close()
        self._children.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
        self.here.close()

    # -- which stage ---------------------------------------------------------------------------------------------------

    def _is_here(self, run: Run) -> bool:
        """Whether this process's app fits the run; the first run that comes decides what it starts from."""
        if self._started_from is None:
            self._started_from = run
            self._threads = lost_threads()
            if not self._threads:
                self._nursery = Nursery(self._work, keep=self._keep)
        return run.preamble is None or self._content(run) == self._content(self._started_from)

    def _process_of(self, run: Run) -> str:
        """The recording process from whose preamble the app was started on which the run is replayed."""
        if self._is_here(run):
            return "" if self._started_from is None else self._started_from.process
        held = self._children.get(self._content(run))
        return "" if held is None else held[1]

    def _content(self, run: Run) -> str:
        """What the run's process was started from; worked out once per process."""
        key = run.process or run.id
        if key not in self._contents:
            self._contents[key] = content_of(run.preamble, run.tokens)
        return self._contents[key]

    def _child(self, run: Run) -> Child:
        """The child whose app fits the run; the one that was used least lately makes room."""
        if self._nursery is None:
            raise _other_start_up(f"there are threads that a fork would lose: {', '.join(self._threads)}")
        content = self._content(run)
        if content not in self._children:
            while len(self._children) >= _MOST_CHILDREN:
                _, (oldest, _) = self._children.popitem(last=False)
                oldest.close()
            self._children[content] = (self._nursery.child(), run.process)
        self._children.move_to_end(content)
        return self._children[content][0]

    # -- across --------------------------------------------------------------------------------------------------------

    def _shown(self, child: Child, run: Run) -> Shown:
        answer = self._ask(child, "replay", run)
        return Shown(evidence=Evidence.from_document(answer["evidence"]), stacks=str(answer["stacks"]))

    def _ask(self, child: Child, what: str, run: Run) -> dict[str, Any]:
        answer = child.ask({"do": what, "run": run.to_payload().decode()}, deadline_s=self._deadline_s)
        if "error" in answer:
            raise _other_start_up(str(answer["error"]))
        if "refused" in answer:
            refused = answer["refused"]
            if refused["reasons"] == ["entry-not-found"]:
                self._raise_not_found(run, refused)
            raise RunNotReady(
                refused["what"], reasons=refused["reasons"], why=refused["why"], next_step=refused["next_step"]
            )
        return answer

    @staticmethod
    def _raise_not_found(run: Run, refused: dict[str, Any]) -> None:
        if run.entry in {entry.name for entry in registered()}:
            raise _other_start_up(f"the entry {run.entry!r} isn't registered by the modules but by this session")
        raise EntryNotFound(refused["what"], why=refused["why"], next_step=refused["next_step"])

    def _work(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """In a child: a stage of its own, and what answers `_ask` with it."""
        stage = self._make(lambda: None)

        def work(request: dict[str, Any]) -> dict[str, Any]:
            run = Run.from_payload(request["run"].encode())
            try:
                if request["do"] == "prepare":
                    stage.prepare(run)
                    return {}
                shown = stage.replay(run)
            except FluxRunError as error:
                return {"refused": _refusal(error)}
            return {"evidence": shown.evidence.to_document(), "stacks": shown.stacks}

        return work


def _refusal(error: FluxRunError) -> dict[str, Any]:
    match error:
        case RunNotReady():
            reasons = list(error.reasons)
        case EntryNotFound():
            reasons = ["entry-not-found"]
        case BundleError():
            reasons = [error.reason]
        case _:
            reasons = ["start-up-failed"]
    return {"reasons": reasons, "what": error.what, "why": error.why, "next_step": error.next_step}


def _other_start_up(why: str) -> RunNotReady:
    return RunNotReady(
        "the process that recorded the run started otherwise than the app here, which can't be started a second time",
        reasons=("other-start-up",),
        why=why,
        next_step="replay the run by itself: then the app starts from the run's own preamble",
    )
