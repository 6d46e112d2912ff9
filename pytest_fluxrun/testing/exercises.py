"""What the contract suites with exercises share: one test per exercise and subclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

__all__ = ["Exercised"]


class Exercised:
    """A suite whose tests ask for an `exercise` by its name.

    Attributes:
        exercises: name → exercise.
    """

    exercises: ClassVar[Mapping[str, Any]]

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """One test per exercise where a test asks for one."""
        if "exercise" in metafunc.fixturenames:
            metafunc.parametrize("exercise", list(cls.exercises), ids=list(cls.exercises))
