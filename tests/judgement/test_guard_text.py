"""A guard file that a person has written in, changed by a command: what stays is as they wrote it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.judgement.guard import Guard, read_guard, rewritten, to_toml, write_guard

_PINNED = {"run": "01jd3k" + "0" * 20, "sha256": "0" * 64}
WRITTEN = f"""\
# INC-142: until the refund job is gone
run = "{_PINNED["run"]}"   # of 3 March
sha256 = "{_PINNED["sha256"]}"
pending = false # we said so
title = 'INC-142'

expect = "fix"

[fix]
# the front end shows a hint then
status = 409
body = {{ error = "expired", n = 1 }} # a part

[drift]
allow = [
    "new-read: http GET rates.example/*",  # a cache
    # the nightly job
    "missing-read: sqlite3 SELECT *",
]

# what Ann made up
[[answers]]
call = "httpx POST https://pay.example/charge" # once
reply = {{ status = 201 }}

[ignore]
paths = ["response.body.id"]
# the end
"""


def _guard(**fields: Any) -> Guard:
    """The guard of the text, with some fields changed."""
    known = Guard.model_validate(tomllib.loads(WRITTEN)).model_dump(exclude_defaults=True, by_alias=True)
    return Guard.model_validate(known | fields)


_CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "proven": {"proven": "a1b2c3d", "pending": True},
    "rules": {"drift": {"allow": (*_guard().drift.allow, "new-effect: *"), "fail": ("reordered",)}},
    "fewer rules": {"drift": {"allow": _guard().drift.allow[1:]}},
    "other rules": {"drift": {"allow": ("reordered",)}},
    "no rules": {"drift": {}},
    "recorded": {"expect": "recorded", "fix": None},
    "other fix": {"fix": {"status": ("2xx", 409), "body": {"error": {"code": 1.0}, "of": [1, {"a": True}]}}},
    "body of text": {"fix": {"body": 'a "b"\n\x1b', "headers": {"x-a b": "1"}, "effects": (3,)}},
    "answers": {"answers": (*_guard().answers, {"call": "a b", "reply": {"rows": [[1, "x"]]}}, {"call": "c d"})},
    "other answers": {"answers": ({"call": "a b", "reply": {"rows": [[1]]}},)},
    "no answers": {"answers": ()},
    "calls": {"calls": ({"call": "x", "count": 1}, {"call": "y", "at_least": 2}), "ignore": {}},
    "schema": {"fix": {"schema": {"type": "object", "required": ["a"]}}, "logs": True},
}


@pytest.mark.parametrize("name", _CHANGES)
def test_any_change_says_what_the_guard_says(name: str) -> None:
    """Whatever guard a text is changed to, and from there to any other."""
    text = rewritten(WRITTEN, _guard(**_CHANGES[name]))

    assert _guard(**_CHANGES[name]) == Guard.model_validate(tomllib.loads(text))
    for other in _CHANGES.values():
        again = rewritten(text, _guard(**other))
        assert _guard(**other) == Guard.model_validate(tomllib.loads(again))
        assert "# INC-142: until the refund job is gone\n" in again


def test_comments_order_and_layout_of_what_stays_are_kept() -> None:
    """Only the lines that must be are others."""
    rules = (*_guard().drift.allow, "new-effect: *")
    changed = _guard(proven="a1b2c3d", drift={"allow": rules, "fail": ("reordered",)})

    lines = rewritten(WRITTEN, changed).splitlines()

    added = ['proven = "a1b2c3d"', '    "new-effect: *",', 'fail = ["reordered"]']
    assert added == [line for line in lines if line not in WRITTEN.splitlines()]
    assert WRITTEN.splitlines() == [line for line in lines if line not in added]
    assert lines.index("# what Ann made up") == lines.index("[[answers]]") - 1
    assert lines.index('fail = ["reordered"]') < lines.index("# what Ann made up")


def test_comments_above_a_table_stay_where_the_one_before_it_goes() -> None:
    """They are of the table that follows them."""
    text = rewritten(WRITTEN, _guard(drift={}))

    assert "# what Ann made up\n[[answers]]\n" in text
    assert "[drift]" not in text


def test_a_text_that_says_it_already_is_not_touched() -> None:
    """Though it isn't as FluxRun would write it."""
    assert rewritten(WRITTEN, _guard()) == WRITTEN


def test_a_text_without_a_hand_in_it_needs_no_tomlkit(tmp_path: Path) -> None:
    """Its import would cost a session that updates a thousand guards, and it has nothing to keep."""
    path = tmp_path / "a.guard.toml"
    path.write_text(to_toml(_guard()), encoding="utf-8")
    program = (
        "import sys, pathlib; from pytest_fluxrun.judgement.guard import *; path = pathlib.Path(sys.argv[1]);"
        "write_guard(path, read_guard(path).model_copy(update={'title': 'x'})); assert 'tomlkit' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program, path], check=True, timeout=60)

    assert read_guard(path) == _guard(title="x")


def test_writing_a_guard_keeps_its_comments(tmp_path: Path) -> None:
    """As `expect`, `accept` and `extend` do it."""
    path = tmp_path / "a.guard.toml"
    path.write_text(WRITTEN, encoding="utf-8")

    write_guard(path, _guard(title="INC-143"))

    assert WRITTEN.replace("title = 'INC-142'", 'title = "INC-143"') == path.read_text(encoding="utf-8")


def test_a_guard_that_cannot_be_used_names_a_way_that_works(tmp_path: Path) -> None:
    """`expect` keeps what an existing guard says, so it reads it too: the file has to go first."""
    path = tmp_path / "a.guard.toml"
    path.write_text(f"{WRITTEN}bogus = 1\n", encoding="utf-8")

    with pytest.raises(GuardError) as refused:
        read_guard(path)

    assert "correct it, or delete it and write it anew with `fluxrun expect a`" == refused.value.next_step
