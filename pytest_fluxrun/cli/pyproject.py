"""What commands read in a `pyproject.toml`, and `init` adds at its end. Nothing that is in a file is ever changed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pytest_fluxrun.config import project_root
from pytest_fluxrun.errors import SettingsError

__all__ = ["append_lines", "default_name", "project_directory", "read_toml", "tool_table"]


def project_directory(start: Path) -> Path:
    """The project's directory: of [tool.fluxrun], else of the nearest pyproject.toml inside the same repository."""
    configured = project_root(start)
    if tool_table(configured / "pyproject.toml") is not None:
        return configured
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
        if (folder / ".git").exists():
            break
    return start


def tool_table(pyproject: Path) -> Any:
    """`[tool.fluxrun]` of a file, or None where it or the file is missing."""
    return read_toml(pyproject).get("tool", {}).get("fluxrun")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content; {} where there is no such file.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"{path} can't be read", why=str(error), next_step="repair the file, then run the command again"
        ) from error


def default_name(root: Path) -> str:
    """The name in pyproject.toml or of the directory, as a project may be called."""
    found = read_toml(root / "pyproject.toml").get("project", {}).get("name") or root.name
    return re.sub(r"[^a-z0-9._-]+", "-", str(found).lower()).lstrip("._-")[:64] or "app"


def append_lines(path: Path, text: str, *, checked: bool = False) -> None:
    """Add lines at the end of a text file, in its own line endings; nothing that is there changes.

    Raises:
        SettingsError: `checked`, and the file would be no TOML any more; it wasn't touched.
    """
    before = path.read_bytes() if path.exists() else b""
    added = text if not before or not checked else f"\n{text}"
    if before and not before.endswith(b"\n"):
        added = f"\n{added}"
    encoded = added.replace("\n", "\r\n" if b"\r\n" in before else "\n").encode()
    if checked:
        try:
            tomllib.loads((before + encoded).decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(
                f"[tool.fluxrun] can't be added to {path}",
                why=str(error),
                next_step=f"add it by hand:\n{text}",
            ) from error
    with path.open("ab") as stream:
        stream.write(encoded)
