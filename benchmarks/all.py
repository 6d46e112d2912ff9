"""Every benchmark, one after another, each in a process of its own. Run by hand: `python benchmarks/all.py [NAME ...]`."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

NAMES = ("startup", "ambient", "draws", "redaction", "sealing", "fence", "recording", "collection", "replay")


def main() -> int:
    """Run those named, or all; 1 if one couldn't be run. A bar that isn't met is no failure: the row says so."""
    print(f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}", flush=True)
    here, failed = Path(__file__).parent, []
    for name in sys.argv[1:] or NAMES:
        if subprocess.run([sys.executable, "-W", "ignore", here / f"{name}.py"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\ncouldn't be run: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
