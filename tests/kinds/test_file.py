"""The kind file: what counts as the same access, what is an effect, what is shown and searched."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.kinds.file import FILE
from pytest_fluxrun.registry import kind_named
from pytest_fluxrun.values import encode

PATH = "/srv/uploads/a.txt"


def write(content: bytes | None = b"a\n", path: str = PATH, **more: Any) -> dict[str, Any]:
    return {"command": "write", "path": path, "mode": "w", "content": content, **more}


@pytest.mark.parametrize(
    ("other", "paths"),
    [
        (write(b"b\n"), ["request.content"]),
        (write(b"\xff"), ["request.content"]),
        (write(None), ["request.content"]),
        (write(path="/srv/b"), ["request.path"]),
        (write(mode="a"), ["request.mode"]),
        ({"command": "read", "path": PATH}, ["request.command", "request.mode", "request.content"]),
        (write(arguments=[1]), ["request.arguments"]),
        (write(to="/srv/b"), ["request.to"]),
    ],
)
def test_path_content_and_arguments_count(other: Any, paths: list[str]) -> None:
    """Each is a difference, and is named."""
    assert FILE.canonical(write()) != FILE.canonical(other)
    assert paths == [difference.path for difference in FILE.differences(write(), other)]


def test_json_is_compared_by_what_it_says() -> None:
    """In a file that is named so: key order is folded, and a difference has a path."""
    one, other = write(b'{"a": 1, "b": 2}', "/srv/a.json"), write(b'{"b": 2, "a": 1}', "/srv/a.json")

    assert FILE.canonical(one) == FILE.canonical(other)
    assert [] == FILE.differences(one, other)
    found = FILE.differences(one, write(b'{"a": 1, "b": 3}', "/srv/a.json"))
    assert [("request.content.b", 2, 3)] == [(one.path, one.recorded, one.asked) for one in found]
    assert ["request.content"] == [one.path for one in FILE.differences(one, write(b"{broken", "/srv/a.json"))]


@pytest.mark.parametrize(
    "command", ["write", "rename", "remove", "mkdir", "rmdir", "truncate", "chmod", "utime", "link"]
)
def test_changes_are_effects(command: str) -> None:
    """Whatever isn't known to look only."""
    assert FILE.is_effect({"command": command, "path": PATH})


@pytest.mark.parametrize("command", ["read", "stat", "lstat", "list", "access", "readlink", "open"])
def test_looks_are_no_effects_and_may_be_repeated(command: str) -> None:
    """Also opening, before anything is written."""
    assert not FILE.is_effect({"command": command, "path": PATH})
    assert FILE.may_repeat({"command": command, "path": PATH})


@pytest.mark.parametrize(
    ("form", "operation", "text"),
    [
        (write(), f"write {PATH}", f"write {PATH} <2 bytes>"),
        ({"command": "rename", "path": "/a", "to": "/b"}, "rename /a", "rename /a to /b"),
        (write(None, path="/" + "x" * 300), "write /" + "x" * 300, "write /" + "x" * 192 + "…"),
        ({"command": "stat", "path": "/with\nlines"}, "stat /with\nlines", "stat /with lines"),
    ],
)
def test_operation_and_text(form: Any, operation: str, text: str) -> None:
    """The path names the operation, and no shape: it may hold a value."""
    assert (operation, text, form["command"]) == (FILE.operation(form), FILE.text(form), FILE.shape(form))


@pytest.mark.parametrize(
    ("path", "content", "named"),
    [
        ("/a.json", b'{"db": {"password": "p"}}', [("db.password", "p")]),
        ("/.env", b"# no\nexport API_KEY='k'\nb: c\n", [("API_KEY", "k"), ("b", "c")]),
        ("/etc/aws/credentials", b"[default]\naws_secret = s\n", [("aws_secret", "s")]),
        ("/run/secrets/db_password", b"pw\n", [("secret.db_password", "pw")]),
        ("/srv/token", b"t", [("token", "t")]),
        ("/srv/b.bin", b"\xff\xfe", []),
    ],
)
def test_settings_and_secrets_are_judged_by_name(path: str, content: bytes, named: list[Any]) -> None:
    """Of what is read as of what is written."""
    read = {"command": "read", "path": path}

    assert named == list(FILE.named_values(read, {"content": encode(content)}))
    assert named == list(FILE.named_values(write(content, path), None))
    assert [] == list(FILE.named_values(read, {"content": {"~": "nothing known"}}))


def test_kind_is_registered() -> None:
    """By its file."""
    assert kind_named("file") is FILE
