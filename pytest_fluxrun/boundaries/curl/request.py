"""The options of a pycurl handle as a request of the kind http. Reads the app's callbacks, makes no I/O of its own."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pytest_fluxrun.boundaries.http.exchange import text_or_bytes

__all__ = ["Asked", "Part", "uncovered"]

_BOUNDARY: Final = "boundary"
_UNCOVERED: Final = (
    "CONNECT_ONLY",
    "HEADER",
    "HTTP_TRANSFER_DECODING",
    "IGNORE_CONTENT_LENGTH",
    "RAW",
    "STREAM_DEPENDS",
)
"""Options with which the callbacks get something else than an answer's headers and body; refused by name."""
_BASIC: Final = 1
_BEARER: Final = 1 << 6
"""libcurl's bits of HTTPAUTH (curl/curl.h); pycurl 7.49 has no name for the second."""
_READ_AT_ONCE: Final = 65_536
_LARGEST_FILE: Final = 8 * 1024 * 1024


def uncovered(module: Any, options: Mapping[int, Any]) -> str:
    """What about a handle's options can't be recorded and played, or ""."""
    for name in _UNCOVERED:
        value = options.get(getattr(module, name, -1))
        if value is not None and bool(value) is not (name == "HTTP_TRANSFER_DECODING"):
            return f"the option {name}"
    if getattr(options.get(getattr(module, "MIMEPOST", -1)), "fluxrun_parts", ()) is None:
        return "the option MIMEPOST, with parts that were not made by add, add_field or add_file alone"
    scheme = urlsplit(_text(options.get(module.URL, ""))).scheme.lower()
    return "" if scheme in ("", "http", "https") else f"the scheme {scheme}"


class Asked:
    """One transfer as it was asked: the options by then, and a streamed body as far as it was read.

    Args:
        module: pycurl, for the names of options.
        options: the handle's, as set.
    """

    def __init__(self, module: Any, options: Mapping[int, Any]) -> None:
        self._module = module
        self._options = dict(options)
        self.chunks: list[bytes] = []
        self._form = self._parts()
        self._to_read: Callable[[int], Any] | None = self._reader()

    def tee(self) -> Callable[[int], Any] | None:
        """The read callback to set for a live transfer, if the body comes through one."""
        read, self._to_read = self._to_read, None
        if read is None:
            return None

        def teed(size: int) -> Any:
            piece = read(size)
            if isinstance(piece, (bytes, str)):
                self.chunks.append(piece.encode("ascii") if isinstance(piece, str) else piece)
            return piece

        return teed

    def form(self) -> dict[str, Any]:
        """The request in the form of the kind http. Reads a streamed body that nothing has sent."""
        read, self._to_read = self._to_read, None
        while read is not None and (piece := read(_READ_AT_ONCE)):
            self.chunks.append(piece.encode("ascii") if isinstance(piece, str) else piece)
        body, content_type = self._body()
        headers = self._headers()
        if content_type and not any(name == "content-type" for name, _ in headers):
            headers.append(["content-type", content_type])
        return {
            "method": self._method(),
            "url": self._url(),
            "headers": headers,
            "body": text_or_bytes(body),
            "streamed": bool(self.chunks),
        }

    def _option(self, *names: str) -> Any:
        for name in names:
            value = self._options.get(getattr(self._module, name, -1))
            if value is not None:
                return value
        return None

    def _reader(self) -> Any:
        if not (self._option("UPLOAD", "PUT") or (self._option("POST") and self._fields() is None)):
            return None
        found = self._option("READFUNCTION", "READDATA")
        return getattr(found, "read", found)

    def _fields(self) -> Any:
        return self._option("POSTFIELDS", "COPYPOSTFIELDS")

    def _method(self) -> str:
        custom = self._option("CUSTOMREQUEST")
        if custom:
            return _text(custom)
        if self._option("NOBODY"):
            return "HEAD"
        if self._option("UPLOAD", "PUT"):
            return "PUT"
        posts = self._option("POST") or self._fields() is not None or self._form is not None
        return "POST" if posts else "GET"

    def _url(self) -> str:
        parts = urlsplit(self._whole_url())
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()

    def _whole_url(self) -> str:
        url = _text(self._option("URL") or "")
        return url if "://" in url else f"http://{url}"

    def _headers(self) -> list[list[str]]:
        headers = [["accept", "*/*"]]
        for line in self._option("HTTPHEADER") or ():
            name, found, value = _text(line).partition(":")
            if name.lower() == "accept":
                headers = headers[1:] if headers[0] == ["accept", "*/*"] else headers
            if found and value.strip():
                headers.append([name.strip().lower(), value.strip()])
            elif name.endswith(";"):
                headers.append([name[:-1].strip().lower(), ""])
        for option, name in (("USERAGENT", "user-agent"), ("REFERER", "referer"), ("COOKIE", "cookie")):
            if self._option(option):
                headers.append([name, _text(self._option(option))])
        if self._option("RANGE"):
            headers.append(["range", f"bytes={_text(self._option('RANGE'))}"])
        own = {_text(line).partition(":")[0].strip(" ;").lower() for line in self._option("HTTPHEADER") or ()}
        authorization = self._authorization()
        if authorization and "authorization" not in own:
            headers.append(["authorization", authorization])
        return headers

    def _authorization(self) -> str:
        """The header that libcurl sends by itself, or "".

        Where the app allows several schemes, libcurl asks the server first: shown is the one whose secret can be read.
        """
        schemes = self._option("HTTPAUTH")
        schemes = _BASIC if schemes is None else schemes
        token = self._option("XOAUTH2_BEARER")
        if token and schemes & _BEARER:
            return f"Bearer {_text(token)}"
        credentials = self._credentials() if schemes & _BASIC else ""
        return f"Basic {base64.b64encode(credentials.encode('latin-1')).decode()}" if credentials else ""

    def _credentials(self) -> str:
        """`user:password`, of the options or of the URL, or ""."""
        both = self._option("USERPWD")
        if both:
            return _text(both) if ":" in _text(both) else f"{_text(both)}:"
        user, password = (_text(self._option(name) or "") for name in ("USERNAME", "PASSWORD"))
        in_url = urlsplit(self._whole_url()).netloc.rpartition("@")[0]
        if in_url and not user:
            user, _, password = (unquote(part, "latin-1") for part in in_url.partition(":"))
        return f"{user}:{password}" if user or password else ""

    def _body(self) -> tuple[bytes, str]:
        """The body, and the content type that libcurl gives it by itself."""
        if self._option("NOBODY"):
            return b"", ""
        if self._form is not None:
            body = b"".join(part.rendered() for part in self._form) + f"--{_BOUNDARY}--\r\n".encode()
            return body, f"multipart/form-data; boundary={_BOUNDARY}"
        fields = self._fields()
        if fields is not None:
            return _bytes(fields), "application/x-www-form-urlencoded"
        posts = bool(self._option("POST"))
        return b"".join(self.chunks), "application/x-www-form-urlencoded" if posts else ""

    def _parts(self) -> list[Part] | None:
        """The parts of a form, files read by now: the app may delete them when the transfer is over."""
        mime, form = self._option("MIMEPOST"), self._option("HTTPPOST")
        if mime is not None:
            return [part.whole() for part in mime.fluxrun_parts]
        return None if form is None else [self._form_part(_text(name), content).whole() for name, content in form]

    def _form_part(self, name: str, content: Any) -> Part:
        if not isinstance(content, tuple):
            return Part(name, _bytes(content))
        module, given = self._module, dict(zip(content[::2], content[1::2], strict=False))
        data = given.get(module.FORM_BUFFERPTR, given.get(module.FORM_CONTENTS, b""))
        file_name = given.get(module.FORM_FILENAME, given.get(module.FORM_BUFFER))
        return Part(name, _bytes(data), given.get(module.FORM_FILE), file_name, given.get(module.FORM_CONTENTTYPE))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form: in memory, or a file that libcurl reads."""

    name: str
    data: bytes = b""
    path: Any = None
    file_name: Any = None
    content_type: Any = None

    def whole(self) -> Part:
        """With the file read, or its size where it is too large to keep."""
        if self.path is None:
            return self
        path = Path(_text(self.path))
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= _LARGEST_FILE else f"<{size} bytes>".encode()
        except OSError as error:
            data = f"<{error.strerror}>".encode()
        return replace(self, data=data, file_name=self.file_name or path.name)

    def rendered(self) -> bytes:
        """As libcurl renders it, with a boundary that comparison folds."""
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{self.name}"'
        kind = self.content_type
        if self.file_name:
            head += f'; filename="{_text(self.file_name)}"'
            kind = kind or mimetypes.guess_type(_text(self.file_name))[0] or "application/octet-stream"
        head += f"\r\nContent-Type: {_text(kind)}" if kind else ""
        return head.encode() + b"\r\n\r\n" + self.data + b"\r\n"


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else str(value)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
