"""Sealing and opening a run of 20 KB: compression, encryption to one recipient, signature, and the way back.

Run by hand: `python benchmarks/sealing.py`.
"""

from __future__ import annotations

import orjson
from measuring import heading, print_row, thread_cpu_us

from pytest_fluxrun.bundle import (
    Algorithm,
    Index,
    Producer,
    ProjectKey,
    Recipient,
    Token,
    Trust,
    new_run_id,
    open_bundle,
    seal,
)

BAR_MS, TIMES = 0.3, 400
VERSIONS = {"fluxrun_version": "0", "python_version": "3"}


def payload() -> bytes:
    """20 KB of JSON, about as compressible as a run."""
    rows = [{"id": n, "name": f"Article number {n * 7919 % 1000}", "price": n * 37 % 9973} for n in range(380)]
    return orjson.dumps(rows)[:20_000]


def main() -> None:
    """Print the rows for both algorithms."""
    data, token = payload(), Token.generate()
    index = Index(run_id=new_run_id(), project="bench", entry="shop", started_at_unix_ns=1, duration_us=1, **VERSIONS)
    heading(f"Bundle of {len(data) / 1000:.0f} KB: CPU, median of {TIMES}")
    for algorithm, name in ((Algorithm.XWING, "X-Wing, the default"), (Algorithm.X25519, "X25519")):
        key = ProjectKey.generate(algorithm)
        trust = Trust("bench", (Recipient(key.public),), (Producer.of(token),))
        sealed = seal(data, index, recipients=(key.public,), signer=token)
        assert open_bundle(sealed, keys=(key,), trust=trust, source="bench")[1] == data
        seal_us = thread_cpu_us(lambda key=key: seal(data, index, recipients=(key.public,), signer=token), times=TIMES)  # type: ignore[misc]
        open_us = thread_cpu_us(
            lambda key=key, trust=trust, sealed=sealed: open_bundle(sealed, keys=(key,), trust=trust, source="bench"),  # type: ignore[misc]
            times=TIMES,
        )
        print_row(f"seal ({name})", seal_us / 1000, "ms", BAR_MS, f"{len(sealed):,} bytes sealed")
        print_row(f"open ({name})", open_us / 1000, "ms", BAR_MS)


if __name__ == "__main__":
    main()
