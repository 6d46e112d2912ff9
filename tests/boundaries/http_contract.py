"""The boundary contract with the HTTP server of the tests as its outside."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from pytest_fluxrun.testing.boundary import BoundaryContract
from tests.boundaries.http_behaviours import UNREACHED

__all__ = ["HttpContract"]


class HttpContract(BoundaryContract):
    """One client library against the table of HTTP behaviours.

    Attributes:
        library: the distribution whose version the compatibility table shows.
        subject: the table's row.
    """

    library: ClassVar[str]
    subject: ClassVar[str]
    unreached = UNREACHED

    @pytest.fixture
    def outside(self, http_outside: Any) -> Any:
        return http_outside
