"""Guard files: what is written is what is read, and what can't be meant is refused."""

from __future__ import annotations

import math
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.judgement.guard import (
    Answer,
    CallCount,
    DriftRules,
    Fix,
    Guard,
    Ignore,
    digest,
    read_guard,
    replace_guards,
    to_toml,
    write_guard,
)

RUN = "01" + "0" * 24
SHA = "ab" * 32
HEAD = f'run = "{RUN}"\nsha256 = "{SHA}"\n'

texts = st.text(st.characters(exclude_categories=["Cs"]))
bodies = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
codes = st.integers(100, 999) | st.sampled_from(["2xx", "5xx"])
counts = st.builds(CallCount, call=texts.filter(bool), count=st.integers(0, 3)) | st.builds(
    CallCount, call=texts.filter(bool), at_least=st.integers(1, 2), at_most=st.none() | st.integers(2, 3)
)
fixes = st.builds(
    Fix,
    status=st.none() | codes | st.lists(codes, min_size=1, max_size=3).map(tuple),
    schema_=st.none() | texts.filter(bool).map("schemas/{}".format) | st.just({"type": "object", "required": ["id"]}),
    headers=st.dictionaries(texts, texts, max_size=3),
    body=st.none() | bodies,
    returns=st.none() | bodies,
    raises=texts,
    effects=st.lists(st.integers(1, 99), max_size=3).map(tuple),
)
guards = st.builds(
    Guard,
    run=st.just(RUN),
    sha256=st.just(SHA),
    title=texts,
    expect=st.just("fix"),
    pending=st.booleans(),
    beyond=st.sampled_from(["fail", "accept"]),
    proven=texts,
    fix=st.none() | fixes,
    calls=st.lists(counts, max_size=2).map(tuple),
    ignore=st.builds(Ignore, paths=st.lists(texts, max_size=3).map(tuple)),
    drift=st.builds(DriftRules, allow=st.lists(texts.map("new-read: {}".format), max_size=3).map(tuple)),
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "orders.guard.toml"
    path.write_text(text, encoding="utf-8")
    return path


@settings(deadline=None)
@given(guards)
def test_written_guard_reads_back_equal_with_types(guard: Guard):
    """Unicode, quotes, control characters and nested bodies survive the file, and 1 stays neither 1.0 nor true."""
    read = Guard.model_validate(tomllib.loads(to_toml(guard)))

    assert guard == read
    assert repr(guard) == repr(read)


def test_guard_file_is_written_and_read(tmp_path: Path):
    """The file holds the guard, and no temporary file stays beside it."""
    guard = Guard(run=RUN, sha256=SHA, title='a "quoted"\nline', expect="fix", fix=Fix(status=409, body={"a": [{}]}))
    path = tmp_path / "orders.guard.toml"

    write_guard(path, guard)

    assert guard == read_guard(path)
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("body", [{"coupon": None}, [1, None], {"a": {"b": b"bytes"}}, "lone \ud800", {"\udfff": 1}])
def test_body_that_toml_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path, body: object):
    """A guard that couldn't be read again leaves the old file as it was, and no other file."""
    path = written(tmp_path, "old")

    with pytest.raises(GuardError):
        write_guard(path, Guard(run=RUN, sha256=SHA, expect="fix", fix=Fix(body=body)))

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_answer_with_times_is_written_and_read():
    """Rows that a database stamps have a form in TOML."""
    row = {"at": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "day": date(2030, 1, 2)}
    guard = Guard(run=RUN, sha256=SHA, answers=(Answer(call="psycopg INSERT*", reply={"rows": [row]}),))

    assert guard == Guard.model_validate(tomllib.loads(to_toml(guard)))


def test_infinite_numbers_survive():
    """TOML has inf and nan."""
    guard = Guard(run=RUN, sha256=SHA, expect="fix", fix=Fix(body=[math.inf, -math.inf, math.nan]))
    assert [math.inf, -math.inf] == tomllib.loads(to_toml(guard))["fix"]["body"][:2]
    assert math.isnan(tomllib.loads(to_toml(guard))["fix"]["body"][2])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('expect = "fixed"\n', "expect"),
        ("pendign = true\n", "pendign"),
        ('expect = "fix"\npending = "false"\n', "pending"),
        ('expect = "fix"\npending = 1\n', "pending"),
        ("pending = true\n", "pending"),
        ("[fix]\nstatus = 409\n", "[fix]"),
        ('expect = "fix"\n[fix]\nstatus = "409"\n', "fix.status"),
        ('expect = "fix"\n[fix]\nstatus = 409.0\n', "fix.status"),
        ('expect = "fix"\n[fix]\nstatus = true\n', "fix.status"),
        ('expect = "fix"\n[fix]\nstatus = 42\n', "fix.status"),
        (
            'expect = "fix"\n[fix]\nstatus = "4x"\n',
            "fix.status: '4x' is no status: give one of 100 to 999",
        ),
        ('expect = "fix"\n[fix]\nstatus = []\n', "fix.status"),
        ('expect = "fix"\n[fix]\nstatus = [200, 20]\n', "fix.status"),
        ('expect = "fix"\n[fix]\nschema = 3\n', "fix.schema"),
        ('expect = "fix"\n[fix]\nschema = "/etc/order.json"\n', "fix.schema"),
        ("[[calls]]\ncount = 1\n", "calls.0.call"),
        ('[[calls]]\ncall = "http *"\n', "say how often"),
        ('[[calls]]\ncall = "http *"\ncount = 1\nat_most = 2\n', "leave at_least and at_most out"),
        ('[[calls]]\ncall = "http *"\nat_least = 3\nat_most = 2\n', "more than"),
        ('[[calls]]\ncall = "http *"\ncount = -1\n', "calls.0.count"),
        ('expect = "fix"\n[fix]\neffects = [0]\n', "fix.effects"),
        ('expect = "fix"\n[fix]\neffects = ["1"]\n', "fix.effects"),
        ('expect = "fix"\n[fix]\nheaders = { age = 3 }\n', "fix.headers.age"),
        ('[ignore]\npaths = "response.body"\n', "ignore.paths"),
        ('[drift]\nallow = ["changed-efect: POST *"]\n', "drift.allow"),
        ('[drift]\nallow = ["*"]\n', "drift.allow"),
        ("[drfit]\n", "drfit"),
    ],
)
def test_key_or_value_that_a_guard_cannot_have_is_named(tmp_path: Path, text: str, place: str):
    """Misspelt, contradicting and wrongly typed settings are errors that name the place; none is coerced."""
    with pytest.raises(GuardError) as raised:
        read_guard(written(tmp_path, HEAD + text))
    assert place in raised.value.why


@pytest.mark.parametrize(
    "text",
    [
        "",
        'run = "../../etc/passwd"\n',
        f'run = "{RUN}"\nsha256 = "{"A" * 64}"\n',
        f'run = "{"8" * 26}"\nsha256 = "{SHA}"\n',
    ],
)
def test_guard_without_run_and_digest_is_refused(tmp_path: Path, text: str):
    """Both must be there and in their form."""
    with pytest.raises(GuardError):
        read_guard(written(tmp_path, text))


def test_unreadable_guard_says_so(tmp_path: Path):
    """No TOML, no UTF-8 and no file are GuardErrors that say what to do."""
    for path in (written(tmp_path, "run = "), tmp_path / "missing.guard.toml"):
        with pytest.raises(GuardError) as raised:
            read_guard(path)
        assert raised.value.next_step
    (tmp_path / "latin.guard.toml").write_bytes(b'title = "na\xefve"\n')
    with pytest.raises(GuardError):
        read_guard(tmp_path / "latin.guard.toml")


def test_digest_is_sha256_in_hex():
    """The digest of nothing is the well-known one."""
    assert "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" == digest(b"")


def test_moments_in_answers_are_kept(tmp_path: Path) -> None:
    """As TOML has them: `extend --effects` makes some up."""
    rows = [{"at": datetime(2000, 1, 1, tzinfo=UTC), "on": date(2000, 1, 2)}]
    answers = [{"call": "psycopg INSERT INTO*", "reply": {"rows": rows}}]
    guard = Guard.model_validate({"run": "0" * 26, "sha256": "0" * 64, "answers": answers})

    write_guard(tmp_path / "a.guard.toml", guard)

    assert guard == read_guard(tmp_path / "a.guard.toml")


def test_status_schema_and_calls_are_written_as_a_reviewer_reads_them() -> None:
    """In the order of the reference, a list as a list, each count a table."""
    guard = Guard(
        run=RUN,
        sha256=SHA,
        expect="fix",
        fix=Fix(status=(200, "4xx"), schema_="schemas/order.json"),
        calls=(CallCount(call="http POST pay.example/*", count=1), CallCount(call="sql *", at_most=3)),
    )
    assert to_toml(guard).splitlines()[3:] == [
        "",
        "[fix]",
        'status = [200, "4xx"]',
        'schema = "schemas/order.json"',
        "",
        "[[calls]]",
        'call = "http POST pay.example/*"',
        "count = 1",
        "",
        "[[calls]]",
        'call = "sql *"',
        "at_most = 3",
    ]


def test_guards_are_replaced_together(tmp_path: Path) -> None:
    """All are new, and nothing lies beside them."""
    one, other = tmp_path / "a.guard.toml", tmp_path / "b.guard.toml"
    one.write_text("a")
    other.write_text("b")

    replace_guards({one: ("a", "A"), other: ("b", "B")})

    assert {"a.guard.toml": "A", "b.guard.toml": "B"} == {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_guard_that_has_changed_meanwhile_stops_all(tmp_path: Path) -> None:
    """Also those before it; a later one isn't touched."""
    one, other = tmp_path / "a.guard.toml", tmp_path / "b.guard.toml"
    one.write_text("a")
    other.write_text("edited")

    with pytest.raises(GuardError, match=r"b\.guard\.toml isn't what it was"):
        replace_guards({one: ("a", "A"), other: ("b", "B")})

    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {"a.guard.toml": "a", "b.guard.toml": "edited"} == found


def test_guard_that_cannot_be_replaced_takes_the_others_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails between two files leaves both as they were."""
    one, other = tmp_path / "a.guard.toml", tmp_path / "b.guard.toml"
    one.write_text("a")
    other.write_text("b")
    real = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target == other:
            raise OSError(5, "Input/output error", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(GuardError, match="Input/output error"):
        replace_guards({one: ("a", "A"), other: ("b", "B")})

    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {"a.guard.toml": "a", "b.guard.toml": "b"} == found
