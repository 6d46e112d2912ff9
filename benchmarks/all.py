"""Every benchmark, one after another, each in a process of its own.

Run by hand: `python benchmarks/all.py [NAME ...]`.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path

NAMES = (
    "startup",
    "ambient",
    "draws",
    "redaction",
    "sealing",
    "fence",
    "recording",
    "boundaries",
    "entries",
    "collection",
    "replay",
)


def main() -> int:
    """Run those named, or all; 1 if one couldn't be run. A bar that isn't met is no failure: the row says so."""
    print(f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}", flush=True)
    here = Path(__file__).parent
    failed = [name for name in sys.argv[1:] or NAMES if _run(here / f"{name}.py")]
    if failed:
        print(f"\ncouldn't be run: {', '.join(failed)}")
    return int(bool(failed))


def _run(script: Path) -> int:
    """Its exit status; a line before it says how fast the machine is just now."""
    began = time.process_time()
    sum(number * number for number in range(1_000_000))
    print(f"\n(a million multiplications take {1000 * (time.process_time() - began):.0f} ms now)", flush=True)
    return subprocess.run([sys.executable, "-W", "ignore", script], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
