"""uuid_utils: ids made in Rust, which draw and read the clock beneath Python; also those of its `compat`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.drawing.ids import id_patches
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]

_VERSIONS = {"uuid1": 1, "uuid4": 4, "uuid6": 6, "uuid7": 7}


class UuidUtils(Seams):
    """Ambient: read, never matched. `from uuid_utils import uuid7` made before the seams escapes."""

    name: ClassVar[str] = "uuid_utils"
    modules = ("uuid_utils", "uuid_utils.compat")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The functions that take no name."""
        return id_patches(module, _VERSIONS)


boundary = UuidUtils()
