"""The kind process: what counts as the same start, what is an effect, what is shown and searched."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.kinds.process import PROCESS, program_of
from pytest_fluxrun.registry import kind_named


def start(*argv: str, **more: Any) -> dict[str, Any]:
    argv = argv or ("/usr/bin/git", "push")
    return {"command": "start", "argv": list(argv), "shell": False, "program": program_of(argv), **more}


def later(command: str, **more: Any) -> dict[str, Any]:
    return {"command": command, "process": "3", "program": "git", **more}


@pytest.mark.parametrize(
    ("other", "path"),
    [
        (start("/usr/bin/git", "pull"), "request.argv[1]"),
        (start(shell=True), "request.shell"),
        (start(cwd="<project>"), "request.cwd"),
        (start(env={"A": "1"}), "request.env"),
    ],
)
def test_command_line_directory_and_variables_count(other: Any, path: str) -> None:
    """Each is a difference, and is named."""
    assert PROCESS.canonical(start()) != PROCESS.canonical(other)
    assert [path] == [difference.path for difference in PROCESS.differences(start(), other)]


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (later("input", data=b"a"), later("input", data=b"b"), "request.data"),
        (later("communicate", input="a"), later("communicate", input="b"), "request.input"),
        (later("communicate", input='{"a": 1}'), later("communicate", input='{"a": 2}'), "request.input.a"),
        (later("read", stream="stdout"), later("read", stream="stderr"), "request.stream"),
        (later("signal", signal=9), later("signal", signal=15), "request.signal"),
        (later("wait"), later("wait") | {"process": "4"}, "request.process"),
    ],
)
def test_what_a_process_is_asked_counts(one: Any, other: Any, path: str) -> None:
    """Whose it is, and what it is told."""
    assert PROCESS.canonical(one) != PROCESS.canonical(other)
    assert [path] == [difference.path for difference in PROCESS.differences(one, other)]


@pytest.mark.parametrize(
    ("form", "effect", "repeats"),
    [
        (start(), True, True),
        (start("uname", "-p"), False, True),
        (start("uname -p; rm x", shell=True), True, True),
        (later("input", data=b"a"), True, True),
        (later("signal", signal=9), True, True),
        (later("communicate", input=b"a"), True, True),
        (later("communicate"), False, True),
        (later("read", stream="stdout"), False, False),
        (later("wait"), False, True),
    ],
)
def test_starts_inputs_and_signals_are_effects(form: Any, effect: bool, repeats: bool) -> None:
    """Not so a look at the machine, or listening; what was read of a pipe is gone."""
    assert (effect, repeats) == (PROCESS.is_effect(form), PROCESS.may_repeat(form))


@pytest.mark.parametrize(
    ("form", "operation", "text"),
    [
        (start(), "start git", "start git push"),
        (start("A=1 git push | cat", shell=True), "start git", "start A=1 git push | cat"),
        (start("<python>", "-c", "x\ny"), "start python", "start python -c x y"),
        (later("input", data=b"abc"), "input git", "input git <3 bytes>"),
        (later("communicate", input="abc"), "communicate git", "communicate git <3 characters>"),
        (later("signal", signal=9), "signal git", "signal git 9"),
        (start("git", "x" * 300), "start git", f"start git {'x' * 189}…"),
    ],
)
def test_operation_and_text(form: Any, operation: str, text: str) -> None:
    """The program names the operation; text is one line of at most 200 characters."""
    assert (operation, text) == (PROCESS.operation(form), PROCESS.text(form))


def test_variables_options_and_json_are_judged_by_name() -> None:
    """Secrets come to programs in each of these ways."""
    form = start("psql", "--password", "p1", "--token=t1", "-v", "KEY=k1", "plain", env={"API_KEY": "e1"})
    named = [("API_KEY", "e1"), ("password", "p1"), ("token", "t1"), ("KEY", "k1")]

    assert named == list(PROCESS.named_values(form, None))
    assert [("secret", "s")] == list(PROCESS.named_values(later("input", data=b'{"secret": "s"}'), None))
    assert [("token", "t")] == list(PROCESS.named_values(start("curl --token t", shell=True), None))
    assert [] == list(PROCESS.named_values(later("input", data=b"{broken"), None))


def test_kind_is_registered() -> None:
    """By its file."""
    assert kind_named("process") is PROCESS
