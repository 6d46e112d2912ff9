"""httpx2: httpx's successor, which openai and anthropic use; the same seams in another module."""

from __future__ import annotations

from typing import ClassVar

from pytest_fluxrun.boundaries.httpx import HttpxBoundary

__all__ = ["Httpx2Boundary", "boundary"]


class Httpx2Boundary(HttpxBoundary):
    """The network transports of httpx2."""

    name: ClassVar[str] = "httpx2"
    modules = ("httpx2",)
    packages = frozenset({"httpx2", "httpcore", "httpcore2"})


boundary = Httpx2Boundary()
