"""One service of the corpus: its recorded runs, its source, and what becomes of the runs when that is changed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from tests.corpus.editing import Edit, applied, stacked
from tests.corpus.mutation import Mutant, mutants_of
from tests.corpus.replaying import Replays, Session
from tests.scenarios.service import Project

__all__ = ["Service"]

_TIMEOUT = ("-o", "fluxrun_timeout_s=4")
_PAUSES = ("-o", "fluxrun_fail_on=changed-pause")
_SEED = 5


@dataclass(frozen=True, slots=True)
class Service:
    """A recorded service on a worker that is running.

    Attributes:
        sources: text of its modules, by path.
        baseline: the session of the unedited source, traced.
    """

    replays: Replays
    sources: dict[str, str]
    baseline: Session
    bundles: dict[str, str]

    @classmethod
    def on(cls, name: str, replays: Replays, project: Project) -> Self:
        """Read a recorded project, and replay it as it is."""
        root = project.root
        modules = sorted((root / name).glob("*.py"))
        sources = {str(path.relative_to(root)): path.read_text() for path in modules}
        bundles = {placed.run_id: f"{placed.name}.fluxrun" for placed in project.placed()}
        return cls(replays, sources, replays.session(sources, traced=True), bundles)

    @property
    def ran(self) -> dict[str, frozenset[tuple[str, int]]]:
        """The lines that each run executes, by run id."""
        return {run: lines for run, lines in self.baseline.ran.items() if run}

    def edited(self, edit: Edit) -> Session:
        """Replay every run on the edited source."""
        return self.replays.session(applied(edit, self.sources), *_PAUSES)

    def reds(self, edits: Iterable[Edit]) -> dict[str, list[tuple[str, str, str]]]:
        """What guards say of edits that leave some not green, by name. Many edits are made at once."""
        found = {}
        for taken, texts in stacked(edits, self.sources):
            if self.replays.session(texts, *_PAUSES).is_red:
                found |= {edit.name: alone.reds for edit in taken if (alone := self.edited(edit)).is_red}
        return found

    def mutants(self) -> Sequence[Mutant]:
        """Every mutant in what the runs execute, in an order that is always the same and says nothing."""
        started = self.baseline.ran.get("", frozenset())
        found = mutants_of(self.sources, ran=frozenset().union(*self.ran.values()), started=started)
        random.Random(_SEED).shuffle(found)
        return found

    def mutated(self, mutant: Mutant, *, pauses: bool = True) -> Session:
        """Replay the runs that a mutant can matter to, until one is red.

        Args:
            pauses: whether `changed-pause` fails.
        """
        concerned = [run for run, lines in self.ran.items() if mutant.concerns(lines)]
        picked = [f"runs/{self.bundles[run]}::replay" for run in concerned] if len(concerned) < len(self.ran) else []
        options = ["-x", "--fluxrun-no-confirm", *_TIMEOUT, *(_PAUSES if pauses else ()), *picked]
        return self.replays.session({mutant.path: mutant.source}, *options, logs=mutant.in_log)
