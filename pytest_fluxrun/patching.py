"""Install, verify and restore seams: attributes of classes and modules that route a library's calls through a session.

Knows no library and no session; what a replacement does is the boundary's affair. Patches are process-wide.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Displaced",
    "Patch",
    "displaced",
    "install",
    "installed",
    "installed_patches",
    "restore_all",
    "trust_wrappers_of",
]

_ABSENT: Any = object()
_MOST_WRAPPERS = 16


@dataclass(frozen=True, slots=True)
class Patch:
    """One attribute to replace.

    Args:
        owner: the class or module.
        attribute: the attribute's name on it.
        wrap: takes the original (as attribute access on the owner gives it) and returns the replacement.
        fenced: what gets past this seam is stopped by the fence and named: displaced, it hides nothing.
        added: the owner has no such attribute: an instance's own, over which a data descriptor takes precedence.
    """

    owner: Any
    attribute: str
    wrap: Callable[[Any], Any]
    fenced: bool = False
    added: bool = False


@dataclass(frozen=True, slots=True)
class Displaced:
    """A seam that something else has overwritten since it was installed."""

    seam: str
    found: str


@dataclass(slots=True)
class _Seam:
    """An installed patch; `namespace` is the owner's own, as it is at any time: each replay looks at all of them."""

    patch: Patch
    raw_original: Any
    replacement: Any
    namespace: Mapping[str, Any]
    attribute: str


_seams: dict[tuple[int, str], _Seam] = {}
_trusted: set[str] = set()
_lock = threading.Lock()


def install(patches: Iterable[Patch]) -> None:
    """Install each patch once; a second one for the same attribute is ignored, so that calling twice is harmless."""
    with _lock:
        for patch in patches:
            key = (id(patch.owner), patch.attribute)
            if key in _seams:
                continue
            namespace = vars(patch.owner)
            raw = namespace.get(patch.attribute, _ABSENT)
            original = None if patch.added else getattr(patch.owner, patch.attribute)
            replacement = patch.wrap(original)
            if isinstance(raw, staticmethod | classmethod) and not isinstance(replacement, staticmethod | classmethod):
                replacement = staticmethod(replacement)  # the original that it wraps is bound already
            setattr(patch.owner, patch.attribute, replacement)
            _seams[key] = _Seam(patch, raw, replacement, namespace, patch.attribute)


def installed() -> tuple[str, ...]:
    """Names of the seams now installed, in the order of installation."""
    return tuple(_name(seam.patch) for seam in list(_seams.values()))


def installed_patches() -> tuple[Patch, ...]:
    """The patches now installed, in order: what `install` takes to put them back after `restore_all`."""
    return tuple(seam.patch for seam in list(_seams.values()))


def trust_wrappers_of(package: str) -> None:
    """Let functions of a package stand on top of a seam, as instrumentation does: they watch, and call what they wrap.

    Args:
        package: a top-level package, e.g. one that measures calls. Never one that may answer a call itself.
    """
    _trusted.add(package)


def displaced() -> tuple[Displaced, ...]:
    """Seams whose attribute is no longer the replacement that was installed, each with what is there now.

    A trusted package's wrapper around the replacement leaves the seam in place: calls still go through it. Of a fenced
    one nothing is said.
    """
    found = []
    for seam in list(_seams.values()):
        now = seam.namespace.get(seam.attribute, _ABSENT)
        if now is not seam.replacement and not seam.patch.fenced and not _leads_to(now, seam.replacement):
            found.append(Displaced(seam=_name(seam.patch), found=_describe(now)))
    return tuple(found)


def restore_all() -> None:
    """Put every original back, newest first. What something else has put on top since then is left alone."""
    with _lock:
        for seam in reversed(_seams.values()):
            owner, attribute = seam.patch.owner, seam.patch.attribute
            if vars(owner).get(attribute, _ABSENT) is not seam.replacement:
                continue
            if seam.raw_original is _ABSENT:
                delattr(owner, attribute)
            else:
                setattr(owner, attribute, seam.raw_original)
        _seams.clear()


def _leads_to(found: Any, replacement: Any) -> bool:
    """Whether there are only trusted wrappers between an attribute's value and the replacement beneath them."""
    wanted = _unbound(replacement)
    for _ in range(_MOST_WRAPPERS):
        found = _unbound(found)
        if found is wanted:
            return True
        if _package_of(found) not in _trusted:
            return False
        beneath = getattr(found, "__wrapped__", None)
        if beneath is None:  # a closure that doesn't say what it wraps
            held = [cell.cell_contents for cell in getattr(found, "__closure__", None) or () if _is_filled(cell)]
            return any(_unbound(item) is wanted for item in held)
        found = beneath
    return False


def _unbound(found: Any) -> Any:
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _package_of(wrapper: Any) -> str:
    """The top-level package whose code a wrapper runs; its name is the wrapped one's, by wrapt and functools.wraps."""
    code = getattr(wrapper, "_self_wrapper", wrapper)
    while isinstance(code, functools.partial):
        code = code.func
    names = getattr(getattr(code, "__func__", code), "__globals__", {})
    return str(names.get("__name__", "")).partition(".")[0]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _name(patch: Patch) -> str:
    owner = patch.owner
    module = getattr(owner, "__module__", None)
    name = getattr(owner, "__qualname__", None) or getattr(owner, "__name__", repr(owner))
    return f"{module}.{name}.{patch.attribute}" if module else f"{name}.{patch.attribute}"


def _describe(found: Any) -> str:
    if found is _ABSENT:
        return "nothing (the attribute was deleted)"
    function = getattr(found, "__func__", found)
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(function, "__code__", None)
    place = "" if code is None else f" of {code.co_filename}:{code.co_firstlineno}"
    return f"{module}.{name}{place}"
