"""What clock and entropy cost: bare, with idle hooks, and recording; interleaved, so that noise hits all alike.

Run by hand: `python benchmarks/ambient.py`.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from measuring import heading, print_row

from pytest_fluxrun import ambient
from pytest_fluxrun.context import LANE, Clock, Lane

CALLS, ROUNDS = 20_000, 25


class Owner:
    """The smallest session."""

    clock: Clock | None = None
    preamble = False
    closed = False

    def ambient_for(self, lane: Lane) -> list[Any]:
        """A list for the lane's reads."""
        del lane
        return []


def per_call_ns(function: Callable[[], Any]) -> float:
    """Nanoseconds for one call, loop included."""
    started_ns = ambient.perf_counter_ns()
    for _ in range(CALLS):
        function()
    return (ambient.perf_counter_ns() - started_ns) / CALLS


def bare(function: Callable[[], Any]) -> float:
    """Without hooks."""
    ambient.uninstall()
    return per_call_ns(function)


def idle(function: Callable[[], Any]) -> float:
    """Hooks, no run."""
    ambient.install()
    return per_call_ns(function)


def recording(function: Callable[[], Any]) -> float:
    """Hooks, in a run that is recorded."""
    ambient.install()
    token = LANE.set(Lane(Owner()))
    try:
        return per_call_ns(function)
    finally:
        LANE.reset(token)


def main() -> None:
    """Print the medians and the medians of the differences within a round."""
    how = "C extension" if ambient.is_native() else "pure"
    heading(f"Clock and entropy, {how}: ns a read, {ROUNDS} rounds in turn")
    for name, function in (
        ("time.time", time.time),
        ("time.monotonic", time.monotonic),
        ("random.random", random.random),
        ("os.urandom(16)", lambda: os.urandom(16)),
    ):
        rounds = [(bare(function), idle(function), recording(function)) for _ in range(ROUNDS)]
        without = statistics.median(first for first, _, _ in rounds)
        idling = statistics.median(second - first for first, second, _ in rounds)
        recorded = statistics.median(third - first for first, _, third in rounds)
        print_row(f"{name}: bare", without, "ns")
        print_row(f"{name}: seams, no run, adds", idling, "ns")
        print_row(f"{name}: recording adds", recorded, "ns")


if __name__ == "__main__":
    main()
