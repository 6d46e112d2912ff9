"""A process that forks one pytest session per copy of a service. A JSON request a line comes in, an answer goes out.

What a session has imported, but for the service itself, is imported here before the next one: only the first is slow.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, NoReturn

import pytest

_LONGEST_S = 120
_PLUGIN = "pytest_fluxrun.plugin"


class Verdicts:
    """What each item of a session came to."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the verdict, its reason, and the first divergence or the error's first line."""
        if report.when != "call" and report.passed:
            return
        told = {name.removeprefix("fluxrun."): str(value) for name, value in report.user_properties}
        result = "skipped" if report.skipped else "passed" if report.passed else "failed"
        text = "" if report.passed else str(report.longrepr)
        self.items[told["run_id"]] = {"result": result, "text": text[:4000], **told}


class Lines:
    """Which lines of a directory's modules run: by run id, and under "" those of import, start-up and shutdown."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"
        self._run = ""
        self.ran: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """From here on it is this run."""
        self._run = dict(item.user_properties)["fluxrun.run_id"]

    def pytest_runtest_teardown(self) -> None:
        """What runs between two runs, and at the end, belongs to none."""
        self._run = ""

    def start(self) -> None:
        """Trace every thread from now on."""
        threading.settrace(self._enter)
        sys.settrace(self._enter)

    def _enter(self, frame: Any, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._root):
            return None
        return self._note(frame, event, argument)

    def _note(self, frame: Any, _event: str, _argument: object) -> Any:
        name = frame.f_code.co_filename.removeprefix(self._root)
        self.ran[self._run].add((name, frame.f_lineno))
        return self._note


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _be_session(request)
        _, status = os.waitpid(child, 0)
        answer = Path(request["root"], "answer.json")
        found = json.loads(answer.read_text()) if answer.exists() else {"died": status}
        print(json.dumps(found), file=answers, flush=True)
        for name in found.get("modules", ()):
            _import(name)


def _import(name: str) -> None:
    """Import what a session has imported, if it can be imported by itself."""
    if name not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _be_session(request: dict[str, Any]) -> NoReturn:
    """One pytest session in a fork; its output goes to a file beside its answer."""
    signal.alarm(_LONGEST_S)
    root = Path(request["root"])
    os.chdir(root)
    output = os.open(root / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    verdicts, lines = Verdicts(), Lines(root)
    plugins: list[object] = [verdicts]
    if request["traced"]:
        plugins.append(lines)
        lines.start()
    options = ["--fluxrun-dir=runs", "-p", "no:cacheprovider", "-p", _PLUGIN, *request["options"]]
    code = pytest.main(options, plugins=plugins)
    sys.settrace(None)
    found: dict[str, Any] = {"exit_code": int(code), "items": verdicts.items, "modules": _foreign(root)}
    found["ran"] = {run: sorted(ran) for run, ran in lines.ran.items()}
    (root / "answer.partial").write_text(json.dumps(found))
    (root / "answer.partial").rename(root / "answer.json")
    os._exit(0)


def _foreign(root: Path) -> list[str]:
    """Modules in the order of their import, without the service's own."""
    found = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())]
    return [name for name, path in found if path and not path.startswith(f"{root}{os.sep}")]


if __name__ == "__main__":
    main()
