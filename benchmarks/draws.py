"""A request that draws 90,000 random numbers: what recording them costs, and how much they take in the bundle.

Run by hand: `python benchmarks/draws.py`.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import replace

from measuring import heading, print_row
from redaction import typical_run

from pytest_fluxrun import ambient
from pytest_fluxrun.bundle import Algorithm, Index, ProjectKey, Token, new_run_id, seal
from pytest_fluxrun.context import entered
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.reads import segments_of
from pytest_fluxrun.recording.recorder import Recorder

DRAWS, ROUNDS = 90_000, 7
VERSIONS = {"fluxrun_version": "0", "python_version": "3"}


def draw() -> float:
    """Milliseconds of CPU."""
    began = time.thread_time()
    for _ in range(DRAWS):
        random.random()
    return (time.thread_time() - began) * 1000


def recorded() -> tuple[float, Recorder]:
    """The same inside a run."""

    def ignore(recorder: Recorder, ending: Ending) -> None:
        del recorder, ending

    recorder = Recorder("shop", "asgi", ignore)
    with entered(recorder.lane):
        return draw(), recorder


def main() -> None:
    """Print the rows."""
    ambient.install()
    drawn = [(draw(), *recorded()) for _ in range(ROUNDS)]
    began = time.thread_time()
    segments = tuple(segments_of(drawn[-1][2].lanes, position={}))
    packed_ms = (time.thread_time() - began) * 1000
    run = typical_run()
    payload = replace(run, recording=replace(run.recording, segments=segments)).to_payload()
    index = Index(run_id=new_run_id(), project="bench", entry="shop", started_at_unix_ns=1, duration_us=1, **VERSIONS)
    sealed = [
        len(seal(data, index, recipients=(ProjectKey.generate(Algorithm.XWING).public,), signer=Token.generate()))
        for data in (payload, run.to_payload())
    ]
    heading(f"A run with {DRAWS:,} draws of random.random, median of {ROUNDS}")
    print_row("drawing them", statistics.median(one[0] for one in drawn), "ms")
    print_row("recording adds, on the request's thread", statistics.median(one[1] - one[0] for one in drawn), "ms")
    print_row("packing them, on the writer's thread", packed_ms, "ms")
    print_row("in the payload", (len(payload) - len(run.to_payload())) / 1000, "KB", None, "8 bytes a number in base64")
    print_row("in the sealed bundle", (sealed[0] - sealed[1]) / 1000, "KB")


if __name__ == "__main__":
    main()
