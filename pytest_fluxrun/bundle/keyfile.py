"""The project key's file and environment variable: read them, write the file once. The file is only its owner's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from pytest_fluxrun.bundle.keys import ProjectKey
from pytest_fluxrun.errors import KeyFileError

__all__ = ["PROJECT_KEY_VARIABLE", "load_project_keys", "write_project_key"]

PROJECT_KEY_VARIABLE: Final = "FLUXRUN_PROJECT_KEY"
_MAX_FILE_BYTES: Final = 64 << 10


def load_project_keys(environment: Mapping[str, str], key_file: Path | None = None) -> tuple[ProjectKey, ...]:
    """Return every project key at hand, each once: those of the environment, then those of the file.

    Args:
        environment: `FLUXRUN_PROJECT_KEY` in it holds one key, or several with space or commas between.
        key_file: one key a line, `#` begins a comment line. A file that doesn't exist holds no key.

    Raises:
        KeyFileError: a key is malformed, or the file can't be read or can be read by others.
    """
    texts = iter(environment.get(PROJECT_KEY_VARIABLE, "").replace(",", " ").split())
    del environment
    keys = _parse_all(texts, PROJECT_KEY_VARIABLE)
    if key_file is not None:
        keys += _parse_all(_lines(key_file), str(key_file))
    return tuple({key.public.key_id: key for key in reversed(keys)}.values())[::-1]


def write_project_key(key_file: Path, key: ProjectKey, *, comment: str = "") -> None:
    """Write a new key file that only its owner can read; make its directory if need be.

    Args:
        key_file: where; nothing may be there.
        key: the key.
        comment: one line for the reader of the file, such as the project's name.

    Raises:
        KeyFileError: something is there already, which is left as it is, or the file can't be written.
    """
    note = " ".join(comment.split())
    content = f"# {note}\n{key.to_text()}\n" if note else f"{key.to_text()}\n"
    problem = _write_new(key_file, content.encode())
    del content
    if problem:
        raise KeyFileError(
            f"the key file {str(key_file)!r} was not written",
            why=problem,
            next_step="keep the key that is there, or name another file",
        )


def _parse_all(texts: Iterator[str], source: str) -> list[ProjectKey]:
    """Parse each text straight off the iterator, so that no frame that an error passes holds one."""
    return list(map(partial(ProjectKey.parse, source=source), texts))


def _lines(key_file: Path) -> Iterator[str]:
    try:
        stream = key_file.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        why = error.strerror or type(error).__name__
        step = "check the path and its permissions"
        raise KeyFileError(f"the key file {str(key_file)!r} can't be read", why=why, next_step=step) from None
    with stream:
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        if os.name == "posix" and mode & 0o077:
            raise KeyFileError(
                f"the key file {str(key_file)!r} is not used",
                why=f"its mode is {mode:04o}, so that others than its owner can reach it",
                next_step=f"run `chmod 600 {key_file}`; if others may have read it, make a new key with `fluxrun keys`",
            )
        for line in stream.read(_MAX_FILE_BYTES).decode("utf-8", "replace").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line


def _write_new(key_file: Path, content: bytes) -> str:
    """Return "" once `content` is on disk in a new file, else what stood in the way."""
    try:
        key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"its directory can't be made ({error.strerror})"
    try:
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return "there is a file already, and a key is never overwritten"
    except OSError as error:
        return error.strerror or type(error).__name__
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        key_file.unlink(missing_ok=True)
        return error.strerror or type(error).__name__
    return ""
