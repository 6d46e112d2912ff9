"""What the fence costs: an audited event while it is down, entering and leaving it with and without open connections.

Run by hand: `python benchmarks/fence.py`. Prints one row each with the bar beside it, medians of many rounds.
"""

from __future__ import annotations

import socket
import statistics
import sys
import time

from measuring import heading, print_row

from pytest_fluxrun.fence import Fence

ROUNDS = 400
EVENTS = 200_000


def main() -> None:
    """Print every row."""
    heading(f"The fence around an item, median of {ROUNDS}")
    bare_ns = _event_ns()
    with Fence():
        pass
    print_row("audited event, fence down", max(_event_ns() - bare_ns, 0), "ns", 100)
    print_row("enter and leave, no connection", _enter_leave_us(0), "µs", 120)
    print_row("enter and leave, 10 connections", _enter_leave_us(10), "µs", 400)


def _event_ns() -> float:
    audit = sys.audit

    def once() -> float:
        started = time.perf_counter_ns()
        for _ in range(EVENTS):
            audit("benchmark.event", 1, 2)
        return (time.perf_counter_ns() - started) / EVENTS

    return min(once() for _ in range(5))


def _enter_leave_us(connections: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Named like outside connections: unconnected datagram sockets, since pairs with both ends in here are spared.
        open_sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(connections)]
        for each in open_sockets:
            each.connect(server.getsockname())
        taken = [_once_us() for _ in range(ROUNDS)]
        for each in open_sockets:
            each.close()
    return statistics.median(taken)


def _once_us() -> float:
    started = time.perf_counter_ns()
    with Fence():
        pass
    return (time.perf_counter_ns() - started) / 1000


if __name__ == "__main__":
    main()
