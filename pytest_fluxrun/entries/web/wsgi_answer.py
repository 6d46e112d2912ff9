"""What a WSGI application gives to its server, by reference until it is dumped; the same when recording and replaying.

PEP 3333: `start_response` and its `write`, the iterable, and files that a server sends by itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import Any, Final

from pytest_fluxrun.entries.web.bodies import FIRST_SERVER_ERROR, answer, outcome, size_of
from pytest_fluxrun.values import Value, encode_or_opaque

__all__ = ["Answer", "SentFile"]

_NOMINAL_BYTES: Final = 1024
_MOST_FILES: Final = 64


class SentFile:
    """A regular file that the server sends by itself (`sendfile`), read from a descriptor of its own when it is dumped.

    Args:
        descriptor: a duplicate; closed when nobody refers to this any more.
    """

    open_files = 0

    def __init__(self, descriptor: int, offset: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._offset = offset
        SentFile.open_files += 1

    @classmethod
    def beneath(cls, wrapper: Any) -> SentFile | None:
        """The file in a server's `wsgi.file_wrapper` object; None: not a regular one, or too many are held."""
        return cls.of(getattr(wrapper, "filelike", None) or getattr(wrapper, "file", None))

    @classmethod
    def of(cls, file: Any) -> SentFile | None:
        """A file object's, likewise."""
        try:
            descriptor, offset = file.fileno(), file.tell()
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or cls.open_files >= _MOST_FILES:
                return None
            return cls(os.dup(descriptor), offset, max(0, status.st_size - offset))
        except (AttributeError, OSError, TypeError, ValueError):  # not a file of the operating system
            return None

    def read(self, limit: int | None) -> bytes | None:
        """What was sent; None where the file has become shorter."""
        wanted = self.size_bytes if limit is None else min(limit, self.size_bytes)
        parts: list[bytes] = []
        while (left := wanted - sum(map(len, parts))) > 0:
            part = os.pread(self._descriptor, left, self._offset + wanted - left)
            if not part:
                return None
            parts.append(part)
        return b"".join(parts)

    def __del__(self) -> None:
        SentFile.open_files -= 1
        os.close(self._descriptor)


class Answer:
    """One response, as far as it came.

    Args:
        method: of the request; HEAD has no body, so that nothing is missing from it.
        keep_more: asked before bytes are kept.

    Attributes:
        pulled: how many chunks were asked of the iterable.
        exhausted: the iterable came to its end.
        refused: (`start_response` or `write`, number of the call, error): what the server raised into the app.
        swallowed: the error that the application made its answer of, where it told the server.
    """

    def __init__(self, method: str, keep_more: Callable[[int], bool] = lambda _: True) -> None:
        self.status: int | None = None
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.others: list[Any] = []
        self.file: SentFile | None = None
        self.pulled = 0
        self.starts = 0
        self.writes = 0
        self.exhausted = False
        self.closed_early = False
        self.damaged = False
        self.refused: list[tuple[str, int, BaseException]] = []
        self.swallowed: BaseException | None = None
        self._head = method == "HEAD"
        self._keep_more = keep_more
        self._sent_bytes = 0

    def start(self, status: Any, headers: Iterable[tuple[str, str]], exc_info: Any) -> None:
        """The application called `start_response`."""
        self.starts += 1
        if exc_info:
            self.swallowed = exc_info[1]
        try:
            code, _, reason = status.partition(" ")
            self.status, self.reason = int(code), reason
            if hasattr(headers, "__next__"):
                raise TypeError("an iterator is the server's to read")
            self.headers = [(str(name), str(value)) for name, value in headers]
        except Exception:  # not PEP 3333: the objects may do anything, and what the server makes of them isn't known
            self.damaged = True

    def sent(self, chunk: Any) -> None:
        """The application gave a part of the body."""
        if not isinstance(chunk, bytes):
            self.others.append(chunk if self._keep_more(_NOMINAL_BYTES) else None)
            return
        self._sent_bytes += len(chunk)
        if chunk and self._keep_more(len(chunk)):
            self.body.append(chunk)

    @property
    def begun(self) -> bool:
        """Whether the server must have sent the headers."""
        return self._sent_bytes > 0

    @property
    def complete(self) -> bool:
        """Whether the client could get all of it."""
        if self.status is None:
            return False
        length = self.content_length
        return self.exhausted or self._head or (length is not None and self._sent_bytes >= length)

    @property
    def content_length(self) -> int | None:
        """What the header says."""
        return size_of(next((value for name, value in self.headers if name.lower() == "content-length"), ""))

    @property
    def disconnected(self) -> bool:
        """The client went away before the answer was complete."""
        gone = any(call == "write" and isinstance(error, OSError) for call, _, error in self.refused)
        return gone or (self.closed_early and not self.complete)

    def error(self, raised: BaseException | None, noted: BaseException | None) -> BaseException | None:
        """What went wrong: the error that came out, else the one that became a 5xx."""
        if raised is not None or (self.status or 0) < FIRST_SERVER_ERROR:
            return raised
        return noted or self.swallowed

    def outcome(self, error: BaseException | None) -> Value:
        """The outcome in the form of every web entry."""
        response: dict[str, Value] | None = None
        if self.status is not None:
            response = answer(self.status, self.headers, self._whole_body(), complete=self.complete)
            response["reason"] = self.reason
            if self.others:
                response["messages"] = [encode_or_opaque(other) for other in self.others]
        dumped = outcome(response, error, disconnected=self.disconnected)
        if self.damaged:
            dumped["damaged"] = encode_or_opaque(object())
        return dumped

    def _whole_body(self) -> bytes:
        parts = self.body
        if self.file is not None:
            from_file = self.file.read(self.content_length)
            self.damaged = self.damaged or from_file is None
            parts = [*parts, from_file or b""]
        return b"".join(parts)
