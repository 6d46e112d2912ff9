"""Bodies by content type: forms, events, lines, parts, texts and bytes, each told by the place or line that differs."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from pytest_fluxrun.judgement.comparison import OutcomeDifference, compare_outcomes
from pytest_fluxrun.judgement.comparison.difference import sort_of
from pytest_fluxrun.judgement.comparison.text_diff import text_diff
from pytest_fluxrun.values import encode

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def sent(body: str | bytes, content_type: str, *headers: list[str]) -> dict[str, Any]:
    """An HTTP outcome with one body."""
    return {
        "response": {
            "status": 200,
            "headers": [["Content-Type", content_type], *headers],
            "body": encode(body),
            "complete": True,
        },
        "error": None,
    }


def differences(before: str | bytes, after: str | bytes, content_type: str) -> list[OutcomeDifference]:
    return compare_outcomes(sent(before, content_type), sent(after, content_type))


def told(before: str | bytes, after: str | bytes, content_type: str) -> list[tuple[str, Any, Any]]:
    return [(one.path, one.expected, one.got) for one in differences(before, after, content_type)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("amount=12&to=a", "amount=13&to=a", [("response.body.amount", "12", "13")]),
        ("amount=12&to=a", "to=a&amount=12", []),
        ("to=a+b", "to=a%20b", []),
        ("to=a&to=b", "to=b&to=a", [("response.body.to[0]", "a", "b"), ("response.body.to[1]", "b", "a")]),
        ("to=", "to=x", [("response.body.to", "", "x")]),
        ("oops", "amount=1", [("response.body", "oops", "amount=1")]),
    ],
)
def test_form_is_compared_by_field(before: str, after: str, expected: Any):
    """Order between fields and spelling of escapes are no difference; order of one field's values is."""
    assert expected == told(before, after, "application/x-www-form-urlencoded")


def events(*totals: int, end: str = "\n\n") -> str:
    return "".join(f'event: total\nid: {index}\ndata: {{"total": {total}}}{end}' for index, total in enumerate(totals))


def test_event_stream_is_compared_by_event():
    """`data` by its JSON; keep-alive comments, ends of lines and the field's space are no difference."""
    kind = "text/event-stream; charset=utf-8"
    before = events(1, 2, 3, 4)
    assert [("response.body.events[3].data.total", 4, 5)] == told(before, events(1, 2, 3, 5), kind)
    assert [] == told(before, ": ping\n\n" + before.replace("\n", "\r\n").replace(": 0", ":0"), kind)
    (missing,) = differences(before, events(1, 2, 3), kind)
    assert "response.body.events[3]" == missing.path


def test_event_that_is_cut_off_or_changes_its_type_is_a_difference():
    """A stream that ends within an event isn't one that ends after it; `data` of several lines is one text."""
    kind = "text/event-stream"
    assert ["response.body.events[0].cut_off"] == [one.path for one in differences("data: a\n\n", "data: a\n", kind)]
    assert [("response.body.events[0].event", "a", "b")] == told("event: a\ndata:1\n\n", "event: b\ndata:1\n\n", kind)
    assert [("response.body.events[0].data", "x\ny", "x\nz")] == told(
        "data: x\ndata: y\n\n", "data: x\ndata: z\n\n", kind
    )


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl", "application/json-seq"])
def test_lines_of_json_are_compared_by_line(kind: str):
    """Each line is a value with a path; its spelling doesn't count."""
    mark = "\x1e" if kind.endswith("seq") else ""
    before = "".join(f'{mark}{{"total":{total},"to":"a"}}\n' for total in (1, 2))
    after = "".join(f'{mark}{{"to":"a","total":{total}}}\n' for total in (1, 3))
    assert [("response.body[1].total", 2, 3)] == told(before, after, kind)


def parts(boundary: str, *bodies: tuple[str, bytes]) -> bytes:
    pieces = (
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: form-data; name=f\r\n\r\n".encode() + body
        for kind, body in bodies
    )
    return b"\r\n".join([*pieces, f"--{boundary}--\r\n".encode()])


def test_parts_are_compared_each_by_its_type_whatever_their_boundary():
    """A changed boundary is none; a changed value in a part is told by part and path."""
    before = sent(parts("aa", ("application/json", b'{"n":1}'), ("image/png", PNG)), "multipart/mixed; boundary=aa")
    same = sent(parts("bb", ("application/json", b'{"n": 1}'), ("image/png", PNG)), 'multipart/mixed; boundary="bb"')
    other = sent(parts("aa", ("application/json", b'{"n":2}'), ("image/png", PNG[:-1])), "multipart/mixed; boundary=aa")

    assert [] == compare_outcomes(before, same)
    number, image = compare_outcomes(before, other)
    assert ("response.body.parts[0].body.n", 1, 2) == (number.path, number.expected, number.got)
    assert "response.body.parts[1].body" == image.path
    assert image.got.startswith("a PNG image, 263 long")


PAGE = "<html>\n" + "".join(f"  <li>item {number}</li>\n" for number in range(400)) + "</html>\n"


def test_changed_page_is_one_difference_with_a_short_diff():
    """Two texts of 8,000 characters are told by the lines around the change, and on one line by the changed one."""
    (difference,) = differences(PAGE, PAGE.replace("item 200<", "item 2OO<"), "text/html")
    assert [
        "@@ -200,5 +200,5 @@",
        "   <li>item 198</li>",
        "   <li>item 199</li>",
        "-  <li>item 200</li>",
        "+  <li>item 2OO</li>",
        "   <li>item 201</li>",
        "   <li>item 202</li>",
    ] == difference.diff
    assert "response.body: line 202: '  <li>item 200</li>' → '  <li>item 2OO</li>'" == difference.line


def test_changes_far_from_each_other_are_hunks_of_their_own():
    """What lies between them isn't shown."""
    changed = PAGE.replace("item 10<", "item X<").replace("  <li>item 300</li>\n", "")
    (difference,) = differences(PAGE, changed, "text/html")
    assert ["@@ -10,5 +10,5 @@", "@@ -300,5 +300,4 @@"] == [line for line in difference.diff if line.startswith("@@")]
    assert "-  <li>item 300</li>" in difference.diff


def test_diff_is_bounded_in_lines_and_width():
    """A page that is all other, and one that is a single line, stay readable."""
    lines = [f"{number}" for number in range(5000)]
    whole = text_diff("\n".join(lines), "\n".join(f"x{line}" for line in lines))
    assert 25 == len(whole)
    assert "… 9977 more lines of this diff" == whole[-1]

    minified = "a" * 5000 + "12" + "b" * 5000
    (header, expected, got) = text_diff(minified, minified.replace("12", "13"))
    assert "@@ -1,1 +1,1 @@" == header
    assert ("-…", "+…", "12b", "13b") == (expected[:2], got[:2], expected[41:44], got[41:44])
    assert max(len(expected), len(got)) < 150


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("a\nb", "a\nb\n", ["@@ -1,2 +1,3 @@", " a", " b", "+"]),
        ("a\nb\nc", "a\r\nb\nc", ["@@ -1,3 +1,3 @@", "-a", "+a\\r", " b", " c"]),
        ("", "a\nb", ["@@ -1,1 +1,2 @@", "-", "+a", "+b"]),
        ("a\na\na", "a\na", ["@@ -1,3 +1,2 @@", " a", "-a", " a"]),
        ("a\x1b[31m\nb", "a\nb", ["@@ -1,2 +1,2 @@", "-a\\x1b[31m", "+a", " b"]),
    ],
)
def test_diff_shows_ends_of_lines_and_what_cannot_be_printed(before: str, after: str, shown: list[str]):
    """A text that differs by what no reader sees is shown so that it is seen."""
    assert sorted(shown) == sorted(text_diff(before, after))


def test_short_texts_are_shown_beside_each_other():
    """A diff of two words would only be longer."""
    (difference,) = differences("expired", "unknown", "text/plain")
    assert [] == difference.diff
    assert "response.body: 'expired' → 'unknown'" == difference.line


def test_text_in_another_encoding_is_read_by_its_charset():
    """Latin-1 that says so is a text; bytes that say nothing are bytes."""
    before, after = "caf\xe9 1".encode("latin-1"), "caf\xe9 2".encode("latin-1")
    assert [("response.body", "café 1", "café 2")] == told(before, after, "text/html; charset=ISO-8859-1")
    assert [("response.body", before, after)] == told(before, after, "text/html")


@pytest.mark.parametrize(
    ("data", "sort"),
    [
        (PNG, "a PNG image"),
        (b"\xff\xd8\xff\xe0..", "a JPEG image"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"PK\x03\x04....", "a ZIP archive"),
        (gzip.compress(b"x", mtime=0), "gzip data"),
        (b"RIFF....WEBPVP8 ", "a WebP image"),
        (b"RIFF....WAVEfmt ", "a WAV file"),
        (b"\x00\x00\x00\x20ftypmp42", "an MP4, HEIC or AVIF file"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"\x00\x01", "bytes"),
        (b"", "bytes"),
    ],
)
def test_bytes_are_named_by_their_first_ones(data: bytes, sort: str):
    """What a reader would open them with."""
    assert sort == sort_of(data)


def test_binary_bodies_are_told_by_sort_length_and_digest():
    """No reader compares 10 kB of bytes; another byte is another digest."""
    (difference,) = differences(PNG, PNG[:-1] + b"x", "image/png")
    assert "response.body" == difference.path
    assert "a PNG image, 264 long, sha256 " == difference.expected[:30] == difference.got[:30]
    assert difference.expected != difference.got
    assert [] == difference.diff


def test_body_that_became_one_of_another_type_is_told_as_a_whole():
    """An error page instead of JSON: the type, and both texts."""
    before, after = sent('{"ok":true}', "application/json"), sent("<h1>Oops</h1>", "text/html")
    assert [
        ("response.body", '{"ok":true}', "<h1>Oops</h1>"),
        ("response.headers.content-type", "application/json", "text/html"),
    ] == [(one.path, one.expected, one.got) for one in compare_outcomes(before, after)]


def test_compressed_bytes_are_compared_by_what_they_hold_and_a_lie_as_sent():
    """Inflated JSON has paths; what isn't compressed, though its header says so, is compared as it is."""
    plain = json.dumps({"n": 1, "x": "y" * 50})
    packed = [
        sent(gzip.compress(plain.encode(), level), "application/json", ["content-encoding", "gzip"]) for level in (1, 9)
    ]
    other = sent(gzip.compress(plain.replace("1", "2").encode()), "application/json", ["content-encoding", "gzip"])
    assert [] == compare_outcomes(*packed)
    assert ["response.body.n"] == [one.path for one in compare_outcomes(packed[0], other)]
    lies = [sent(b"\xff\xfe" + tail, "application/json", ["content-encoding", "gzip"]) for tail in (b"a", b"b")]
    assert ["response.body"] == [one.path for one in compare_outcomes(*lies)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["a=1; Path=/", "b=2"], ["b=2", "a=1; path=/"], []),
        (["a=1; Path=/; HttpOnly"], ["a=1; HttpOnly; Path=/"], []),
        (["a=1; SameSite=Lax"], ["a=1; SameSite=lax"], []),
        (["a=1"], ["a=2"], [("response.cookies.a.value", "1", "2")]),
        (["a=1; Max-Age=60"], ["a=1; Max-Age=90"], [("response.cookies.a.max-age", "60", "90")]),
        (["a=1; Secure"], ["a=1"], [("response.cookies.a.secure", True, "(absent)")]),
        (["a=1"], [], [("response.cookies.a", {"value": "1"}, "(absent)")]),
        (["a=1; Path=/", "a=2; Path=/x"], ["a=1; Path=/", "a=2; Path=/y"],
         [("response.cookies.a[1].path", "/x", "/y")]),
        (["a=Wed, 21"], ["a=Wed, 22"], [("response.cookies.a.value", "Wed, 21", "Wed, 22")]),
        (["a.b=1"], ["a.b=2"], [('response.cookies["a.b"].value', "1", "2")]),
    ],
)  # fmt: skip
def test_cookies_are_compared_by_name_and_attribute(before: list[str], after: list[str], expected: Any):
    """Their order, and that of their attributes, says nothing."""
    outcomes = [sent("", "text/plain", *(["Set-Cookie", value] for value in values)) for values in (before, after)]
    found = [
        (one.path, one.expected, one.got if isinstance(one.got, str) else repr(one.got))
        for one in compare_outcomes(outcomes[0], outcomes[1])
    ]
    assert expected == found
    for rule in ("response.cookies", "response.headers.set-cookie", "response.headers"):
        assert [] == compare_outcomes(outcomes[0], outcomes[1], [rule])


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("text/html; charset=utf-8", "Text/HTML;charset=UTF-8", True),
        ("text/html; charset=utf-8", "text/html; charset=latin-1", False),
        ("text/html; charset=utf-8", "text/html", False),
        ("application/json", "application/problem+json", False),
    ],
)
def test_content_type_is_compared_in_one_spelling(before: str, after: str, same: bool):
    """Case and space are no difference, another charset is."""
    found = [one.path for one in compare_outcomes(sent("{}", before), sent("{}", after))]
    assert found == ([] if same else ["response.headers.content-type"])
