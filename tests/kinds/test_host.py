"""The kind host: equality, effects, differences and one-line text of host calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pytest_fluxrun.kinds.host import HOST, reads_by_name


def request(method: str = "save", *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"target": "db", "method": method, "args": list(args), "kwargs": kwargs}


def test_canonical_ignores_the_order_of_names_only() -> None:
    """Keyword order is no difference; types and values are."""
    assert HOST.canonical(request(a=1, b=2)) == HOST.canonical(request(b=2, a=1))
    texts = {HOST.canonical(request("save", value)) for value in (1, 1.0, True, "1", Decimal(1), [1], (1,))}
    assert len(texts) == 7


def test_steps_of_a_generator_are_calls_of_their_own() -> None:
    """The second item never answers for the first."""
    assert HOST.canonical({**request(), "step": 1}) != HOST.canonical({**request(), "step": 2})


@pytest.mark.parametrize(
    ("method", "reads"),
    [
        ("get", True),
        ("get_order", True),
        ("findAll", True),
        ("is_open", True),
        ("__getitem__", True),
        ("getter", False),
        ("save", False),
        ("issue", False),
        ("__setitem__", False),
        ("listen", False),
        ("__call__", False),
    ],
)
def test_the_first_word_decides(method: str, reads: bool) -> None:
    """`get_order` reads, `getter` and `issue` aren't `get` and `is`."""
    assert reads_by_name(method) is reads
    assert HOST.is_effect(request(method)) is not reads
    assert HOST.is_effect({**request(method), "effect": reads}) is reads


def test_differences_name_the_place() -> None:
    """By position and by name."""
    found = HOST.differences(request("save", 1, x={"y": 1}), request("save", 2, x={"y": 3}))

    assert [(one.path, one.recorded, one.asked) for one in found] == [
        ("request.args[0]", 1, 2),
        ("request.kwargs.x.y", 1, 3),
    ]


def test_text_is_one_short_line() -> None:
    """As a reader would write the call."""
    assert HOST.text(request("save", "o-1", total=Decimal("9.90"))) == "db.save('o-1', total=Decimal('9.90'))"
    assert len(HOST.text(request("save", "x" * 500))) == 200


def test_keyword_arguments_are_named_for_redaction() -> None:
    """`login(password=…)` is judged by the name."""
    assert list(HOST.named_values(request("login", password="x"), None)) == [("password", "x")]
