"""One place at which two outcomes differ, the grammar of its path, and how it is told. Pure."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pytest_fluxrun.judgement.comparison.text_diff import first_change, text_diff

__all__ = ["ABSENT", "OutcomeDifference", "beneath", "differing", "matches_path", "sort_of", "text_matches", "under"]

_PLAIN_KEY = re.compile(r"[^.\[\]\"*]+")
_SHORT: Final = 160
_FEW_BYTES: Final = 32
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
    (b"wOF2", "a WOFF2 font"),
    (b"wOFF", "a WOFF font"),
    (b"\x00asm", "a WebAssembly module"),
    (b"\x80\x04\x95", "a pickle"),
)
_CONTAINED: Final = {b"WEBP": "a WebP image", b"WAVE": "a WAV file", b"AVI ": "an AVI film"}
"""What a RIFF file says of itself in its bytes 8 to 11."""


class _Absent:
    """Stands for "not there" in a difference."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class OutcomeDifference:
    """One place at which the replay's outcome isn't the expected one.

    Attributes:
        path: in the grammar of guard files, e.g. `response.body.total`.
        expected: as plain data; bytes of more than 32 by what they are, their length and digest.
    """

    path: str
    expected: Any
    got: Any

    @property
    def diff(self) -> list[str]:
        """Lines of a unified diff, where both sides are texts that are too long to show one beside the other."""
        return text_diff(self.expected, self.got) if self._is_of_texts() else []

    @property
    def line(self) -> str:
        """The difference on one line of bounded length: `response.body.total: 1 → 2`."""
        if not self._is_of_texts():
            return f"{self.path}: {_short(self.expected)} → {_short(self.got)}"
        number, expected, got = first_change(self.expected, self.got)
        return f"{self.path}: line {number}: {expected!r} → {got!r}"

    def _is_of_texts(self) -> bool:
        texts = (self.expected, self.got)
        return all(isinstance(text, str) for text in texts) and any(
            len(text) > _SHORT or "\n" in text.rstrip("\n") for text in texts
        )


def differing(path: str, expected: Any, got: Any) -> OutcomeDifference:
    """A difference between two values, each in the form that is shown."""
    expected, got = _told(expected), _told(got)
    return OutcomeDifference(path, expected, got)


def sort_of(data: bytes) -> str:
    """What bytes are, by their first ones: `a PNG image`; `bytes` where those tell nothing."""
    if data[:4] == b"RIFF":
        return _CONTAINED.get(data[8:12], "a RIFF file")
    if data[4:8] == b"ftyp":
        return "an MP4, HEIC or AVIF file"
    return next((sort for magic, sort in _MAGIC if data.startswith(magic)), "bytes")


def matches_path(path: str, rule: str) -> bool:
    """Whether a guard's path covers a place: it is the place or an ancestor of it."""
    pattern = re.escape(rule).replace(r"\[\*\]", r"\[\d+\]").replace(r"\*", r"[^.\[]*")
    return re.fullmatch(pattern + r"([.\[].*)?", path, re.DOTALL) is not None


def text_matches(text: str, pattern: str) -> bool:
    """Whether a drift's text fits a rule's, with `*` as a wildcard."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def under(path: str, key: str) -> str:
    """A key's path; one that holds a sign of the grammar is quoted, so that no rule for `a` covers the key `a.b`."""
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def beneath(path: str, places: Iterable[str | int]) -> str:
    """The path of a place that is given by keys and indexes."""
    for place in places:
        path = f"{path}[{place}]" if isinstance(place, int) else under(path, place)
    return path


def _told(value: Any) -> Any:
    if not isinstance(value, bytes) or len(value) <= _FEW_BYTES:
        return value
    return f"{sort_of(value)}, {len(value):,} long, sha256 {hashlib.sha256(value).hexdigest()[:16]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}… ({len(text)} characters)"
