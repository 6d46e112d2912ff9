"""What a pycurl handle got and tells of its last transfer, while it is recorded and when it is played. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["INFO", "Transfer"]

INFO: Final = (
    "APPCONNECT_TIME", "CONDITION_UNMET", "CONNECT_TIME", "CONTENT_LENGTH_DOWNLOAD_T", "CONTENT_LENGTH_UPLOAD_T",
    "CONTENT_TYPE", "EFFECTIVE_METHOD", "EFFECTIVE_URL", "HEADER_SIZE", "HTTP_CODE", "HTTP_CONNECTCODE",
    "HTTPAUTH_AVAIL", "INFO_COOKIELIST", "INFO_FILETIME", "INFO_HTTP_VERSION", "LOCAL_IP", "LOCAL_PORT",
    "NAMELOOKUP_TIME", "NUM_CONNECTS", "OS_ERRNO", "PRETRANSFER_TIME", "PRIMARY_IP", "PRIMARY_PORT",
    "PROXYAUTH_AVAIL", "REDIRECT_COUNT", "REDIRECT_TIME", "REDIRECT_URL", "REQUEST_SIZE", "RESPONSE_CODE",
    "RETRY_AFTER", "SCHEME", "SIZE_DOWNLOAD_T", "SIZE_UPLOAD_T", "SPEED_DOWNLOAD_T", "SPEED_UPLOAD_T",
    "SSL_VERIFYRESULT", "STARTTRANSFER_TIME", "TOTAL_TIME",
)  # fmt: skip
"""What getinfo says of a transfer, without sockets and certificates; all others are refused by name at replay.

Those with `_T` give integers, their older namesakes without it the same as floats.
"""


_OF_CODING: Final = (b"content-encoding", b"content-length")


class Transfer(Exchange):
    """An exchange with what pycurl tells beside it.

    Attributes:
        lines: header lines of all answers, redirects and interim ones included, as the header callback gets them.
        info: getinfo's values by name.
    """

    __slots__ = ("info", "lines")

    def __init__(self) -> None:
        super().__init__(0, [])
        self.lines: list[bytes] = []
        self.info: dict[str, Any] = {}

    def tee(self, write: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        """A write callback that keeps what passes."""

        def teed(piece: bytes) -> Any:
            self.add(piece)
            return write(piece)

        return teed

    def tee_lines(self, header: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
        """A header callback that keeps what passes."""

        def teed(line: bytes) -> Any:
            self.lines.append(line)
            return None if header is None else header(line)

        return teed

    def conclude(self, error: BaseException | None, info: dict[str, Any], *, decoded: bool) -> None:
        """The transfer is over: the last answer's lines are the head, and all of the body belongs to the call.

        Args:
            decoded: libcurl undoes content codings: the body and its length are no longer what the head says.
        """
        self.info = info
        for line in self.lines:
            text = line.strip()
            name, colon, value = text.partition(b":")
            if text.startswith(b"HTTP/"):
                version, _, rest = text.partition(b" ")
                status, _, reason = rest.partition(b" ")
                self.status, self.headers = int(status or 0), []
                self.http_version, self.reason = version.decode("latin-1"), reason.decode("latin-1")
            elif colon:
                self.headers.append((name.strip(), value.strip()))
        if decoded and any(name.lower() == b"content-encoding" for name, _ in self.headers):
            self.headers = [pair for pair in self.headers if pair[0].lower() not in _OF_CODING]
        self.finish("eof" if error is None else "error", error)
        self.times_ns, self.ended_ns = [0] * len(self.times_ns), 0

    @classmethod
    def played(
        cls, exchange: Exchange, url: str, *, lines: list[str] | None = None, info: dict[str, Any] | None = None
    ) -> Transfer:
        """A transfer of a recorded exchange; without lines and info another library recorded it."""
        transfer = cls()
        for name in ("status", "headers", "http_version", "reason", "chunks", "times_ns", "end", "ended_ns", "error"):
            setattr(transfer, name, getattr(exchange, name))
        told = transfer._told_lines() if lines is None else (line.encode("latin-1") for line in lines)
        transfer.lines = list(told)
        transfer.info = transfer._told_info(url) if info is None else info
        return transfer

    @classmethod
    def failed(cls, error: BaseException, url: str, *, info: dict[str, Any] | None) -> Transfer:
        """A transfer of which a recording holds an error and no answer."""
        transfer = cls()
        transfer.error, transfer.end = error, "error"
        transfer.info = transfer._told_info(url) if info is None else info
        return transfer

    def undo_coding(self) -> None:
        """Decode a body that another library recorded as it was sent, for a handle that has libcurl do so."""
        headers = {name.lower(): value for name, value in self.headers}
        coding = headers.get(b"content-encoding", b"").strip().lower()
        if coding in (b"gzip", b"x-gzip", b"deflate"):
            decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
            self.chunks = [decoder.decompress(b"".join(self.chunks)) + decoder.flush()]
        elif coding and coding != b"identity":
            raise UnrecordedCall(
                f"a body in the coding {coding.decode('latin-1')} was recorded by another library",
                asked=f"pycurl {self.info.get('EFFECTIVE_URL', '')}",
                next_step="record the run again with pycurl",
            )

    def about(self, option: int) -> Any:
        """Getinfo of a played transfer.

        Raises:
            UnrecordedCall: the option isn't among what is recorded.
        """
        module = import_module("pycurl")
        for name, value in self.info.items():
            if getattr(module, name, None) == option:
                return value
            if name.endswith("_T") and getattr(module, name.removesuffix("_T"), None) == option:
                return float(value)
        names = [name for name in dir(module) if getattr(module, name) == option]
        raise UnrecordedCall(
            f"pycurl's getinfo({' or '.join(names) or option}) isn't recorded", asked=f"pycurl getinfo {names}"
        )

    def _told_lines(self) -> Any:
        yield f"{self.http_version or 'HTTP/1.1'} {self.status} {self.reason or ''}\r\n".encode("latin-1")
        yield from (b"%s: %s\r\n" % pair for pair in self.headers)
        yield b"\r\n"

    def _told_info(self, url: str) -> dict[str, Any]:
        kind = next((value.decode("latin-1") for name, value in self.headers if name.lower() == b"content-type"), None)
        size = sum(map(len, self.chunks))
        told = {"RESPONSE_CODE": self.status, "HTTP_CODE": self.status, "CONTENT_TYPE": kind, "EFFECTIVE_URL": url}
        return {**told, "SIZE_DOWNLOAD_T": size, "REDIRECT_COUNT": 0, "NUM_CONNECTS": 1, "TOTAL_TIME": 0.0}
