"""The public names are frozen: every module's `__all__`, in public_names.txt. A change is made there, on purpose."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import pytest_fluxrun

PACKAGE = Path(pytest_fluxrun.__file__).parent
FROZEN = Path(__file__).with_name("public_names.txt")
ACCEPT = "ACCEPT_PUBLIC_NAMES=1 python -m pytest tests/architecture/test_public_names.py"


def declared() -> dict[str, str]:
    """`module.name` → "" for each name in an `__all__`, read from the sources: nothing is imported."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(["pytest_fluxrun", *parts]).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found |= dict.fromkeys((f"{module}.{name}" for name in ast.literal_eval(node.value)), "")
    return found


@pytest.fixture(autouse=True)
def _accepted() -> None:
    if os.environ.get("ACCEPT_PUBLIC_NAMES"):
        FROZEN.write_text("".join(f"{name}\n" for name in declared()), encoding="utf-8")


def test_public_names_are_the_frozen_ones():
    """A name added or removed is a line added or removed in the frozen list."""
    now, frozen = declared(), FROZEN.read_text(encoding="utf-8").splitlines()
    added = [f"+{name}" for name in now if name not in frozen]
    removed = [f"-{name}" for name in frozen if name not in now]
    assert [] == added + removed, f"edit {FROZEN.name} by these lines, or run:\n  {ACCEPT}"


def test_frozen_names_exist():
    """Each can be imported from where it is declared."""
    from importlib import import_module

    missing = []
    for full in FROZEN.read_text(encoding="utf-8").splitlines():
        module, _, name = full.rpartition(".")
        if not hasattr(import_module(module), name):
            missing.append(full)
    assert [] == missing
