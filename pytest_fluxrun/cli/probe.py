"""`python -m pytest_fluxrun.cli.probe ROOT MODULE...`: import modules and print what they registered, as JSON.

`fluxrun check` runs it in a process of its own, so that a module that fails, exits or hangs does so there.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from pytest_fluxrun.entry import registered

__all__ = ["MARK"]

MARK = "fluxrun-entries "
"""Begins the line with the answer; the modules may print too."""


def _probe(root: str, modules: list[str]) -> str:
    sys.path.insert(0, root)
    for module in modules:
        import_module(module)
    return json.dumps([[found.name, found.entry.describe(found.target)] for found in registered()])


if __name__ == "__main__":
    sys.stdout.write(f"\n{MARK}{_probe(sys.argv[1], sys.argv[2:])}\n")
