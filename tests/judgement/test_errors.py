"""Errors: what led to one, and what is in a group, are part of the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_fluxrun.judgement.comparison import compare_outcomes
from pytest_fluxrun.values import dump_error


class PaymentFailed(Exception):
    pass


def raised(function: Callable[[], Any]) -> dict[str, Any]:
    """The outcome of a function that raises."""
    try:
        function()
    except BaseException as error:
        return {"returned": None, "error": dump_error(error)}
    raise AssertionError("it didn't raise")


def failing(beneath: Exception, *, how: str = "from", text: str = "no") -> dict[str, Any]:
    """The outcome of code that raises PaymentFailed where another error was raised."""

    def fail() -> None:
        try:
            raise beneath
        except Exception as error:
            if how == "from":
                raise PaymentFailed(text) from error
            if how == "hidden":
                raise PaymentFailed(text) from None
            raise PaymentFailed(text)  # noqa: B904 - what is tested

    return raised(fail)


def grouped(*members: Exception) -> dict[str, Any]:
    return raised(lambda: _throw(ExceptionGroup("several", members)))


def _throw(error: Exception) -> None:
    raise error


def told(before: Any, after: Any, *ignored: str) -> list[tuple[str, str, str]]:
    return [(one.path, str(one.expected), str(one.got)) for one in compare_outcomes(before, after, ignored)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (failing(KeyError("a")), failing(KeyError("a")), []),
        (failing(KeyError("a")), failing(KeyError("b")), [("error.cause.message", "'a'", "'b'")]),
        (
            failing(KeyError("a"), how="within"),
            failing(OSError("b"), how="within"),
            [("error.context.type", "builtins:KeyError", "builtins:OSError"), ("error.context.message", "'a'", "b")],
        ),
        (
            failing(KeyError("a")),
            failing(KeyError("a"), how="hidden"),
            [("error.cause", "builtins:KeyError: 'a'", "(absent)")],
        ),
        (
            failing(KeyError("a"), how="hidden"),
            failing(KeyError("a"), how="within"),
            [("error.context", "(absent)", "builtins:KeyError: 'a'")],
        ),
        (
            failing(KeyError("a")),
            failing(KeyError("a"), how="within"),
            [
                ("error.cause", "builtins:KeyError: 'a'", "(absent)"),
                ("error.context", "(absent)", "builtins:KeyError: 'a'"),
            ],
        ),
        (failing(KeyError("a"), how="hidden"), failing(OSError("b"), how="hidden"), []),
        (failing(KeyError("a")), failing(KeyError("a"), text="yes"), [("error.message", "no", "yes")]),
    ],
)
def test_errors_are_compared_with_what_led_to_them(before: Any, after: Any, expected: list[tuple[str, str, str]]):
    """A cause and a context each by type and message; a suppressed context is none."""
    assert expected == told(before, after)


def test_chain_is_compared_to_its_end_and_can_be_ignored():
    """The third error behind the raised one counts, and a guard may leave out what is behind."""

    def chain(text: str) -> dict[str, Any]:
        error = KeyError(text)
        for number in range(3):
            outer = ValueError(number)
            outer.__cause__ = error
            error = outer
        return raised(lambda: _throw(error))

    place = "error.cause.cause.cause.message"
    assert [(place, "'a'", "'b'")] == told(chain("a"), chain("b"))
    assert [] == told(chain("a"), chain("b"), "error.cause")


def test_error_of_another_type_is_told_without_what_led_to_it():
    """One change is told once."""
    assert ["error.type"] == [
        path for path, *_ in told(failing(KeyError("a")), raised(lambda: _throw(ValueError("no"))))
    ]


def test_groups_are_compared_by_member():
    """Another member, a missing one and one with another cause."""
    noted = OSError("b")
    noted.add_note("at once")
    assert [] == told(grouped(KeyError("a"), OSError("b")), grouped(KeyError("a"), OSError("b")))
    assert [("error.group[1].message", "b", "c")] == told(
        grouped(KeyError("a"), OSError("b")), grouped(KeyError("a"), OSError("c"))
    )
    assert [("error.group[1].notes", "(absent)", "['at once']")] == told(
        grouped(KeyError("a"), OSError("b")), grouped(KeyError("a"), noted)
    )
    fewer = told(grouped(KeyError("a"), OSError("b")), grouped(KeyError("a")))
    assert ("error.group[1]", "builtins:OSError: b", "(absent)") in fewer


def test_recorded_errors_of_older_releases_are_compared_by_what_they_hold():
    """A bundle whose error has no notes, cause or group has none to compare with: type and message."""
    old = {"returned": None, "error": {"type": "builtins:KeyError", "message": "'a'"}}
    assert [] == told(old, raised(lambda: _throw(KeyError("a"))))


def test_addresses_anywhere_in_a_chain_are_no_difference():
    """Anyio names cancel scopes, and a default repr its object, by where they lie."""
    texts = (
        "Cancelled via cancel scope 7f01; <Order object at 0x7f01>",
        "Cancelled via cancel scope 7faa; <Order object at 0x7faa>",
    )
    assert [] == told(*(failing(ValueError(text)) for text in texts))
