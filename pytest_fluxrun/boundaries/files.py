"""Files outside of the project, the interpreter and the temporary directories: read from the recording at replay.

Seen are `open`, pathlib, shutil and what of os works by paths, in the program's own code and in libraries; and what
`os.open` opens. Not seen: what C code opens by itself, `io.FileIO`, and file objects from before the run. The runtime's
own reads (imports, time zones, certificates, logging) are never recorded.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.disk import changing, looking, opening
from pytest_fluxrun.boundaries.disk.asked import LIBRARY, FileLibrary
from pytest_fluxrun.boundary import Patch

__all__ = ["Files", "boundary"]


class Files(FileLibrary):
    """The seams in builtins, io and os."""

    modules: ClassVar[tuple[str, ...]] = ("builtins", "io", "os")

    def patches(self, module: Any) -> Iterable[Patch]:
        """`open` where it is found, and the functions of os."""
        if module.__name__ != "os":
            yield Patch(module, "open", opening.wrap_open)
            return
        yield Patch(module, "open", _as_able(opening.os_open))
        yield Patch(module, "close", opening.close)
        yield Patch(module, "listdir", _as_able(looking.listdir))
        yield Patch(module, "scandir", _as_able(looking.scandir))
        for name, wrap in {**looking.LOOKS, **changing.CHANGES}.items():
            if hasattr(module, name):
                yield Patch(module, name, _as_able(wrap))
        for name in ("rename", "replace"):
            yield Patch(module, name, _as_able(changing.rename))
        for name in ("link", "symlink"):
            if hasattr(module, name):
                yield Patch(module, name, _as_able(functools.partial(changing.link, name)))


def _as_able(wrap: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A wrapper that os counts among the functions that can what its original can: shutil and pathlib ask that."""

    def wrapped(original: Any) -> Any:
        replacement = wrap(original)
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if original in able:
                able.add(replacement)
        return replacement

    return wrapped


LIBRARY.boundary = boundary = Files()
