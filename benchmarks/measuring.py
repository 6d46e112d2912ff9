"""What the benchmarks share: one row with the bar beside it, and interleaved rounds. Imports nothing of FluxRun."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["added", "heading", "interleaved", "print_row", "thread_cpu_us"]


def heading(text: str) -> None:
    """What the rows below measure."""
    print(f"\n{text}")


def print_row(what: str, value: float, unit: str, bar: float | None = None, note: str = "") -> None:
    """One line; a row without a bar is there to compare with."""
    verdict = "" if bar is None else f"bar {bar:g} {unit}".ljust(16) + ("met" if value <= bar else "NOT MET")
    print(f"  {what:<58}{value:>10.3f} {unit:<4}{verdict:<26}{note}", flush=True)


def interleaved(variants: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Each variant's figure once a round, in turn, the order reversed every other round; a first round warms up."""
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        names = list(variants) if turn % 2 else list(reversed(variants))
        for name in names:
            figure = variants[name]()
            if turn:
                figures[name].append(figure)
    return figures


def added(figures: Mapping[str, list[float]], name: str, base: str) -> float:
    """The median of what a variant cost above another in the same round."""
    return statistics.median(one - other for one, other in zip(figures[name], figures[base], strict=True))


def thread_cpu_us(function: Callable[[], object], *, times: int) -> float:
    """CPU of this thread for one call, in microseconds, the median of `times` calls."""
    taken = []
    for _ in range(times):
        before = time.thread_time_ns()
        function()
        taken.append(time.thread_time_ns() - before)
    return statistics.median(taken) / 1000
