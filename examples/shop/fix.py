"""Apply or revert `fix.patch` without the patch binary: `python fix.py apply`, `python fix.py revert`.

Only exact: a file that was edited near the fix is refused, and nothing is written.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PATCH = "fix.patch"

_FILE = re.compile(r"^--- a/(?P<old>.+)\n\+\+\+ b/(?P<new>.+)\n", re.MULTILINE)
_HUNK = re.compile(r"^@@ .*\n", re.MULTILINE)


class PatchRefused(Exception):
    """The source isn't the one that the patch was made for."""


def apply(root: Path) -> list[Path]:
    """Put the fix in.

    Args:
        root: The directory that holds the shop and its `fix.patch`.

    Returns:
        The files that were changed.

    Raises:
        PatchRefused: The source was edited near the fix, or holds it already.

    """
    return _rewrite(root, reverse=False)


def revert(root: Path) -> list[Path]:
    """Take the fix out again; arguments, result and refusal are those of `apply`."""
    return _rewrite(root, reverse=True)


def main(arguments: list[str]) -> int:
    """Run the command line."""
    actions = {"apply": apply, "revert": revert}
    if len(arguments) != 1 or arguments[0] not in actions:
        print("usage: python fix.py apply|revert", file=sys.stderr)
        return 2
    try:
        changed = actions[arguments[0]](Path(__file__).parent)
    except PatchRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print("changed: " + ", ".join(str(path) for path in changed))
    return 0


def _rewrite(root: Path, *, reverse: bool) -> list[Path]:
    changes: dict[Path, str] = {}
    for name, before, after in _hunks((root / PATCH).read_text(encoding="utf-8")):
        if reverse:
            before, after = after, before  # noqa: PLW2901
        path = root / name
        source = changes.get(path) or path.read_text(encoding="utf-8")
        if source.count(before) != 1:
            action = "reverted in" if reverse else "applied to"
            message = (
                f"{PATCH} can't be {action} {path}: the lines that it changes aren't there as it knows them.\n"
                f"The file was edited, or this was done before. Restore it (git checkout {name}) and try again."
            )
            raise PatchRefused(message)
        changes[path] = source.replace(before, after)
    for path, source in changes.items():
        path.write_text(source, encoding="utf-8")
    return list(changes)


def _hunks(patch: str) -> list[tuple[str, str, str]]:
    """Split a unified diff into (file, lines before, lines after)."""
    found = []
    starts = [*_FILE.finditer(patch)]
    for start, end in zip(starts, [*(match.start() for match in starts[1:]), len(patch)], strict=True):
        for hunk in _HUNK.split(patch[start.end() : end])[1:]:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            found.append((start["new"], before, after))
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
