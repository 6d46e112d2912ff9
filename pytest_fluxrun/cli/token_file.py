"""The file beside the project key that keeps the token for its owner: read it, write it once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pytest_fluxrun.bundle import Token
from pytest_fluxrun.errors import KeyFileError

__all__ = ["read_token", "write_token"]


def read_token(path: Path) -> Token | None:
    """The token in a file, or None where there is no file.

    Raises:
        KeyFileError: it can't be read, holds no token, or others than its owner can reach it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if os.name == "posix" and mode & 0o077:
            raise KeyFileError(
                f"the token file {str(path)!r} is not used",
                why=f"its mode is {mode:04o}, so that others than its owner can reach it",
                next_step=f"run `chmod 600 {path}`; if others may have read it, delete it, run `fluxrun init` for "
                "another, and mark the old producer `revoked = true` in the trust file",
            )
        return Token.parse(path.read_text(encoding="utf-8"), source=f"the token file {str(path)!r}")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"the token file {str(path)!r} can't be read",
            why=getattr(error, "strerror", None) or type(error).__name__,
            next_step="check its permissions, or move it away and run `fluxrun init`",
        ) from None


def write_token(path: Path, token: Token) -> None:
    """Write a new token file, mode 0600; its directory is made if need be.

    Raises:
        KeyFileError: something is there already, which is left as it is, or the file can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(f"{token.to_text()}\n")
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise KeyFileError(
            f"the token file {str(path)!r} was not written",
            why=error.strerror or type(error).__name__,
            next_step="check its directory, then run `fluxrun init` again",
        ) from None
