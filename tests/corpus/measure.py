"""Judges every edit and mutant of the corpus and prints figures: `python -m tests.corpus.measure RESULTS [SERVICE…]`.

RESULTS is a directory: recordings are made there, and each mutant's result is a line there, so that a run which was
interrupted goes on where it stopped. It takes about 15 minutes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from tests.corpus import cinema_edits, shop_edits
from tests.corpus.explanations import is_equivalent, unexplained
from tests.corpus.recording import RECORD
from tests.corpus.replaying import Replays
from tests.corpus.service import Service
from tests.scenarios.service import Project

__all__ = ["measure"]

_PAUSE = "changed-pause"
EDITS = {"shop": shop_edits.EDITS, "cinema": cinema_edits.EDITS}


def measure(name: str, results: Path) -> int:
    """Judge what hasn't been judged yet, print the figures. Returns how many survivors nothing explains."""
    root = results / name
    if not root.exists():
        RECORD[name](root)
    log = results / f"{name}.jsonl"
    known = {line["name"]: line for line in map(json.loads, log.read_text().splitlines())} if log.exists() else {}
    project = Project(root)
    with Replays(project) as replays, log.open("a") as lines:
        service = Service.on(name, replays, project)
        assert not service.baseline.is_red, service.baseline.output
        unlike = [edit.name for edit in EDITS[name] if service.edited(edit).is_red != bool(edit.unless)]
        print(f"{name}: {len(EDITS[name])} edits, each by itself; not as the page says: {unlike or 'none'}")
        mutants = service.mutants()
        for mutant in mutants:
            if mutant.name in known:
                continue
            session = service.mutated(mutant)
            verdict = session.reds[0] if session.reds else ("none", "session", "")
            by_default = session.is_red and (verdict[1] != _PAUSE or service.mutated(mutant, pauses=False).is_red)
            line = {"name": mutant.name, "rule": mutant.rule, "red": session.is_red, "verdict": verdict}
            line |= {"by_default": by_default}
            known[mutant.name] = line
            print(json.dumps(line), file=lines, flush=True)
    return _tell(name, [known[mutant.name] for mutant in mutants])


def _tell(name: str, found: list[dict[str, object]]) -> int:
    red = [line for line in found if line["red"]]
    usual = sum(bool(line["by_default"]) for line in found)
    print(f"{name}: {len(found)} mutants, {len(red)} red ({len(red) / len(found):.1%})")
    print(f"  {usual} red ({usual / len(found):.1%}) where changed pauses are only noted")
    totals, reds = Counter(line["rule"] for line in found), Counter(line["rule"] for line in red)
    for rule, count in totals.most_common():
        print(f"  {rule:<20} {reds[rule]:>4} of {count}")
    verdicts = Counter(str(line["verdict"][0]) for line in red)  # type: ignore[index]
    print("  by " + ", ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common()))
    alive = [str(line["name"]) for line in found if not line["red"]]
    equal = sum(is_equivalent(name, survivor) for survivor in alive)
    rest = len(found) - equal
    print(f"  {equal} of the green ones are equivalent: {len(red) / rest:.1%} of the others are red")
    missing = unexplained(name, alive)
    for survivor in missing:
        print(f"  not explained: {survivor}")
    return len(missing)


if __name__ == "__main__":
    directory = Path(sys.argv[1]).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    sys.exit(1 if sum(measure(name, directory) for name in sys.argv[2:] or RECORD) else 0)
