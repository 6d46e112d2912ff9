"""A plain WSGI middleware for the web behaviours' apps."""

from __future__ import annotations

from typing import Any

from tests.entries.web_behaviours import ask


class Layer:
    """Acts on `/layers` alone; with an upstream it asks it first."""

    def __init__(self, app: Any, name: str, url: str = "") -> None:
        self.app, self.name, self.url = app, name, url

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/layers":
            return self.app(environ, start_response)
        number = ask("GET", f"{self.url}/count").json()["n"] if self.url else 0

        def layered(status: str, headers: Any, *more: Any) -> Any:
            layers = [value for name, value in headers if name.lower() == "x-layers"]
            kept = [(name, value) for name, value in headers if name.lower() != "x-layers"]
            kept.append(("x-layers", ",".join([*layers, self.name])))
            if self.url:
                kept.append(("x-count", str(number)))
            return start_response(status, kept, *more)

        return self.app(environ, layered)
