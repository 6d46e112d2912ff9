"""The compatibility table: collected from the contract suites as they run, shown in docs/reference/compatibility.md.

A contract class with `subject` and `library` is a row, its exercises are the behaviours; a cell is "yes" when every
contract test of the exercise passed. A test marked `compatibility(subject, library, behaviour)` proves that a cell is
refused by name. `pytest --compatibility FILE` writes what a run showed, `python -m tests.compatibility` the page.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "compatibility.md"
PINS = Path(__file__).with_name("oldest.txt")
_PROPERTY = "fluxrun_compatibility"
_SIGNS = {"yes": "✓", "refused": "refused", "no": "✗"}
_AGELESS = ("python", "pytest-fluxrun")
"""What a row without a library of its own names in its place: it has no oldest version."""
_GROUPS = {"boundaries": "Calls that go out", "entries": "Ways a run starts"}

Cells = dict[str, dict[str, dict[str, str]]]
"""`subject` → behaviour → {"cell": yes | refused | no, "library": …, "version": …, "group": …}."""


# -- in a test run ---------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compatibility", metavar="FILE", help="write what the contract suites showed to a JSON file")
    parser.addoption(
        "--tables",
        choices=("only", "oldest", "none"),
        help="run the table's tests only, those of them whose library tests/oldest.txt pins, or all others",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "compatibility(subject, library, behaviour): the test proves that this cell is refused by name"
    )
    if config.getoption("tables") == "oldest":
        _require_pins()
    target = config.getoption("compatibility")
    if target and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collected(Path(target)), "fluxrun-compatibility")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell each report which cell it is about: properties travel from xdist's workers, classes don't."""
    tables = config.getoption("tables")
    pinned = pins() if tables == "oldest" else {}
    of_the_table, others = [], []
    for item in items:
        cells = list(_cells_of(item))
        of_it = cells and (tables != "oldest" or any(cell["library"] in pinned for cell in cells))
        (of_the_table if of_it else others).append(item)
        if cells:
            item.user_properties.append((_PROPERTY, cells))
    if tables:
        items[:] = others if tables == "none" else of_the_table
        config.hook.pytest_deselected(items=of_the_table if tables == "none" else others)


def pins() -> dict[str, str]:
    """Distribution → version, of tests/oldest.txt."""
    lines = (line.partition("#")[0].strip() for line in PINS.read_text().splitlines())
    return {name: number for name, is_pin, number in (line.partition("==") for line in lines) if is_pin}


def _require_pins() -> None:
    """No other version than the one that is pinned may pass for it."""
    others = [f"{name}=={_version(name)}" for name, number in pins().items() if _version(name) != number]
    if others:
        raise pytest.UsageError(f"not the versions of {PINS.name}: {', '.join(others)}; run `./dev oldest`")


def _cells_of(item: pytest.Item) -> Iterator[dict[str, str]]:
    group = item.path.parent.name
    for mark in item.iter_markers("compatibility"):
        found = dict(zip(("subject", "library", "behaviour"), mark.args, strict=False)) | mark.kwargs
        yield {**found, "group": group, "cell": "refused"}
    cls: Any = getattr(item, "cls", None)
    subject, library = getattr(cls, "subject", None), getattr(cls, "library", None)
    exercise = getattr(getattr(item, "callspec", None), "params", {}).get("exercise")
    if isinstance(subject, str) and isinstance(library, str) and isinstance(exercise, str):
        yield {"subject": subject, "library": library, "behaviour": exercise, "group": group, "cell": "yes"}


class _Collected:
    """Gathers the reports of a session and writes the file at its end."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._cells: Cells = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, cells in report.user_properties:
            if name == _PROPERTY and (report.when == "call" or report.outcome != "passed"):
                for cell in cells:
                    self._add(cell, report.outcome)

    def _add(self, cell: dict[str, str], outcome: str) -> None:
        row = self._cells.setdefault(cell["subject"], {})
        known = row.setdefault(
            cell["behaviour"],
            {name: cell[name] for name in ("cell", "library", "group")} | {"version": _version(cell["library"])},
        )
        if outcome != "passed":
            known["cell"] = "no"

    def pytest_sessionfinish(self) -> None:
        self._target.write_text(json.dumps({"python": platform.python_version(), "cells": self._cells}, indent=1))


def _version(library: str) -> str:
    if library == "python":
        return platform.python_version()
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


# -- the page --------------------------------------------------------------------------------------------------------


def page_of(runs: Iterable[dict[str, Any]]) -> str:
    """The page that the results of some runs make: a column for each version, and of two results the worse."""
    rows: dict[str, dict[tuple[str, str], dict[str, str]]] = defaultdict(dict)
    for run in runs:
        for subject, behaviours in run["cells"].items():
            for behaviour, found in behaviours.items():
                key = (subject, found["version"])
                row = rows[found["group"]].setdefault(key, {})
                row[behaviour] = "no" if "no" in (found["cell"], row.get(behaviour)) else found["cell"]
    parts = [_HEAD]
    for group, title in _GROUPS.items():
        parts += [f"## {title}\n", *_tables(rows.get(group, {}))]
    return "\n".join(parts)


_HEAD = """# Compatibility

Made by `./dev compatibility` from a real run of the contract suites; don't edit it. Each cell was recorded against a
live server (or a live invocation) and replayed with it gone, equal in what the app saw. **✓** every contract test of
the behaviour passed · **refused** not covered, and refused by name instead of going live · **·** the library itself has
no such behaviour, or it isn't in this column's suite.

Each library stands here in the oldest version that is supported (`tests/oldest.txt`) and in the newest one that there
was. Versions between them are expected to work, older ones may: nobody has run them.
"""


def _tables(rows: dict[tuple[str, str], dict[str, str]]) -> Iterator[str]:
    """Rows that share most of their behaviours stand in one table, turned: there are more behaviours than rows.

    So do the versions of a subject.
    """
    families: list[tuple[set[str], list[tuple[str, str]]]] = []
    for key in sorted(rows, key=_age):
        behaviours = rows[key].keys()
        home = next((family for family in families if _is_home(family, key[0], behaviours)), None)
        if home is None:
            families.append((set(behaviours), [key]))
        else:
            home[0].update(behaviours)
            home[1].append(key)
    for behaviours, keys in families:
        yield _table(sorted(behaviours), keys, rows)


def _is_home(family: tuple[set[str], list[tuple[str, str]]], subject: str, behaviours: Collection[str]) -> bool:
    shared = len(family[0].intersection(behaviours))
    return shared * 2 > len(behaviours) or subject in dict(family[1])


def _table(behaviours: list[str], keys: list[tuple[str, str]], rows: dict[tuple[str, str], dict[str, str]]) -> str:
    lines = [
        "| | " + " | ".join(f"{subject} {number}" for subject, number in keys) + " |",
        "|---" * (len(keys) + 1) + "|",
    ]
    for behaviour in behaviours:
        signs = (_SIGNS.get(_cell(rows[key], behaviour), "·") for key in keys)
        lines.append(f"| {behaviour} | " + " | ".join(signs) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, str], behaviour: str) -> str:
    return row.get(behaviour) or row.get("*", "")


def _age(key: tuple[str, str]) -> tuple[str, Version]:
    return key[0], Version(key[1])


def cells_in(page: str) -> set[tuple[str, str, str, str]]:
    """(subject, version, behaviour, sign) of a page; the newest version of a subject, or the only one, is `newest`."""
    found, columns = set(), list[tuple[str, str]]()
    for line in page.splitlines():
        fields = [field.strip() for field in line.strip("|").split("|")]
        if line.startswith("| |"):
            columns = [(subject, number) for subject, _, number in (field.rpartition(" ") for field in fields[1:])]
        elif line.startswith("| "):
            found |= {(*key, fields[0], sign) for key, sign in zip(columns, fields[1:], strict=True) if sign != "·"}
    newest = dict(sorted({(subject, number) for subject, number, *_ in found}, key=_age))
    return {(s, "newest" if number == newest[s] else number, *cell) for s, number, *cell in found}


def in_one_version(runs: Iterable[dict[str, Any]]) -> list[str]:
    """Subjects that no run has shown in two versions of their library."""
    versions: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run in runs:
        for subject, behaviours in run["cells"].items():
            for found in behaviours.values():
                versions[subject, found["library"]].add(found["version"])
    return sorted(s for (s, library), shown in versions.items() if len(shown) == 1 and library not in _AGELESS)


def main() -> int:
    """Write the page, or with --check say where it differs from what a run showed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the page says something else")
    parser.add_argument("results", nargs="+", type=Path, help="files that pytest --compatibility wrote")
    arguments = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in arguments.results]
    page, alone = page_of(runs), in_one_version(runs)
    if alone:
        print("compatibility: in one version only, so that the oldest isn't covered:", ", ".join(alone))
        return 1
    if not arguments.check:
        PAGE.write_text(page)
        return 0
    shown, written = cells_in(page), cells_in(PAGE.read_text())
    for cell in sorted(shown - written):
        print("compatibility: a run showed, and the page lacks:", *cell)
    for cell in sorted(written - shown):
        print("compatibility: the page says, and no run showed:", *cell)
    if shown != written or not shown:
        print("compatibility: run `./dev compatibility` and commit docs/reference/compatibility.md")
        return 1
    print(f"compatibility: {len(shown)} cells as written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
