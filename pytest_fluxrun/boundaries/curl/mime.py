"""pycurl's CurlMime, from 7.47 on: what a form's parts are, which libcurl doesn't tell again."""

from __future__ import annotations

from typing import Any, Final

from pytest_fluxrun.boundaries.curl.request import Part

__all__ = ["Mime"]

_PARAMETERS: Final = {
    "add": ("name", "data", "file", "filename", "content_type", "headers", "encoder"),
    "add_field": ("name", "data", "content_type", "encoder", "headers"),
    "add_file": ("name", "file", "filename", "content_type", "headers", "encoder"),
}
"""Of pycurl's methods, in order, by the names of `add`."""
_OTHERWISE: Final = {"value": "data", "path": "file"}


class Mime:
    """What stands before pycurl's own class.

    Attributes:
        fluxrun_parts: the parts so far, or None: there are some that can't be known.
    """

    fluxrun_parts: list[Part] | None

    def __init__(self, *_: Any) -> None:  # pycurl's class takes its arguments when it is made
        self.fluxrun_parts = []

    def add(self, *args: Any, **kwargs: Any) -> Any:
        """Add a part."""
        return self._added("add", args, kwargs)

    def add_field(self, *args: Any, **kwargs: Any) -> Any:
        """Add a field."""
        return self._added("add_field", args, kwargs)

    def add_file(self, *args: Any, **kwargs: Any) -> Any:
        """Add a file."""
        return self._added("add_file", args, kwargs)

    def addpart(self) -> Any:
        """Add an empty part, to be filled unseen."""
        self.fluxrun_parts = None
        return super().addpart()  # type: ignore[misc]  # pycurl's

    def add_multipart(self, *args: Any, **kwargs: Any) -> Any:
        """Add parts within a part."""
        self.fluxrun_parts = None
        return super().add_multipart(*args, **kwargs)  # type: ignore[misc]  # pycurl's

    def _added(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Added:
        part = getattr(super(), method)(*args, **kwargs)
        given = dict(zip(_PARAMETERS[method], args, strict=False))
        given |= {_OTHERWISE.get(name, name): value for name, value in kwargs.items()}
        if given.get("headers") is None and given.get("encoder") is None and self.fluxrun_parts is not None:
            data, name = given.get("data") or b"", given.get("name") or ""
            content = data.encode() if isinstance(data, str) else bytes(data)
            shown = name.decode() if isinstance(name, bytes) else str(name)
            file, named, kind = (given.get(key) for key in ("file", "filename", "content_type"))
            self.fluxrun_parts.append(Part(shown, content, file, named, kind))
        else:
            self.fluxrun_parts = None
        return _Added(self, part)


class _Added:
    """A part that was added; whoever changes it makes the form one that can't be known."""

    def __init__(self, mime: Mime, part: Any) -> None:
        self._mime = mime
        self._part = part

    def __getattr__(self, name: str) -> Any:
        self._mime.fluxrun_parts = None
        return getattr(self._part, name)
