"""An Outside of programs: what starts leaves a trace."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Programs"]


class Programs:
    """An Outside: programs that leave a line in a file each time they start; taken away, none of them is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "started"
        self._log.write_text("")
        self.path = folder / "program"
        self.path.write_text(f'#!/bin/sh\necho x >> {self._log}\nexec "$@"\n')
        self.path.chmod(0o755)
        self.closed = folder / "closed"
        self.closed.write_text("no program")
        self.closed.chmod(0o644)

    def calls(self) -> int:
        return len(self._log.read_text().splitlines())

    def reset(self) -> None:
        """Nothing stays."""

    def take_away(self) -> None:
        self.path.unlink()

    def __call__(self, *command: str) -> list[str]:
        return [str(self.path), *command]
