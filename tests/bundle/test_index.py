"""The index: what it allows, its one JSON form, and reading it off a file's first bytes alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_fluxrun.bundle import Index, ProjectKey, Token, fit_index_field, read_index, seal
from pytest_fluxrun.bundle.index import decode_index, encode_index, is_canonical
from pytest_fluxrun.errors import BundleTooLarge, DamagedBundle, NotABundle, TruncatedBundle, UnsupportedVersion

TEXT_FIELDS = ["project", "entry", "route", "error_type", "fluxrun_version", "python_version", "release"]


@pytest.fixture
def file(tmp_path: Path, index: Index, project_key: ProjectKey, token: Token) -> Path:
    """Return a bundle's file."""
    path = tmp_path / "orders.create-01jd3k.fluxrun"
    path.write_bytes(seal(b"payload", index, recipients=[project_key.public], signer=token))
    return path


def test_index_is_read_from_a_file_and_from_bytes(file: Path, index: Index, project_key: ProjectKey) -> None:
    """Path, text of the path and bytes give the index that was sealed."""
    expected = index.model_copy(update={"recipients": (project_key.public.key_id.hex(),)})

    assert expected == read_index(file) == read_index(str(file)) == read_index(file.read_bytes())


def test_only_the_head_is_read(file: Path, index: Index) -> None:
    """A body of gigabytes, or a missing one, doesn't matter to collection."""
    head = file.read_bytes()[: 17 + len(encode_index(index, ["0" * 32]))]
    file.write_bytes(head)
    os.truncate(file, 5 << 30)

    assert read_index(file).run_id == index.run_id


def test_index_longer_than_the_first_read_is_read_whole(
    tmp_path: Path, index: Index, project_key: ProjectKey, token: Token
) -> None:
    """An index of more than 4 KiB comes from the file as well."""
    long = index.model_copy(update={"counts": {f"kind{number:028}": 2**62 for number in range(64)}})
    long = long.model_copy(update={"reasons": tuple(f"reason:{number:050}" for number in range(32))})
    path = tmp_path / "long.fluxrun"
    path.write_bytes(seal(b"", long, recipients=[project_key.public], signer=token))

    assert read_index(path).counts == long.counts
    path.write_bytes(path.read_bytes()[:4200])
    with pytest.raises(TruncatedBundle):
        read_index(path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A missing file, a directory and an empty file each give a typed error with the path."""
    (tmp_path / "empty.fluxrun").touch()

    for name, error in (("none", DamagedBundle), ("", DamagedBundle), ("empty.fluxrun", TruncatedBundle)):
        with pytest.raises(error, match=re.escape(str(tmp_path / name))) as caught:
            read_index(tmp_path / name)
        assert caught.value.next_step


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_named_pipe_doesnt_block_collection(tmp_path: Path) -> None:
    """A pipe that nobody writes to is an empty bundle."""
    os.mkfifo(tmp_path / "pipe.fluxrun")

    with pytest.raises(TruncatedBundle):
        read_index(tmp_path / "pipe.fluxrun")


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    """A file with the right name and another content is refused."""
    (tmp_path / "x.fluxrun").write_text("hello, world; this is text")

    with pytest.raises(NotABundle):
        read_index(tmp_path / "x.fluxrun")


def test_reading_an_index_imports_no_cryptography(file: Path) -> None:
    """Collection pays for no key handling."""
    program = (
        "import sys; from pytest_fluxrun.bundle import read_index; read_index(sys.argv[1]);"
        "sys.exit(any(name.split('.')[0] in ('cryptography', 'ssl') for name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    done = subprocess.run([sys.executable, "-c", program, str(file)], env=environment, check=False)

    assert done.returncode == 0


def test_newer_schema_says_upgrade(index: Index) -> None:
    """A later schema is another thing than damage, even where it brings unknown members."""
    fields = json.loads(encode_index(index, []))
    encoded = json.dumps({**fields, "schema": 7, "zone": "eu"}, separators=(",", ":")).encode()

    with pytest.raises(UnsupportedVersion, match="schema 7") as caught:
        decode_index(encoded)
    assert "pip install --upgrade" in caught.value.next_step


def test_encoding_is_canonical(index: Index) -> None:
    """The encoding is sorted, compact ASCII, and decodes to the same index."""
    encoded = encode_index(index, ["00" * 16])

    assert is_canonical(decode_index(encoded), encoded)
    assert not is_canonical(decode_index(encoded), encoded.replace(b":", b": ", 1))
    assert json.dumps(json.loads(encoded), sort_keys=True, separators=(",", ":")).encode() == encoded


def test_message_never_shows_a_refused_value(index: Index) -> None:
    """An index is a stranger's text: a value that isn't allowed isn't printed."""
    encoded = encode_index(index, []).replace(b"POST /orders", b"\\u001b[31mEVIL")

    with pytest.raises(DamagedBundle) as caught:
        decode_index(encoded)
    assert "EVIL" not in str(caught.value)
    assert "route" in caught.value.why


@given(st.sampled_from(TEXT_FIELDS), st.text(max_size=400))
def test_any_text_can_be_made_to_fit(field: str, text: str) -> None:
    """A recorder can put any class name or route through it and never fail at sealing."""
    fitted = fit_index_field(field, text)
    fields = {"run_id": "0" * 26, "project": "shop", "entry": "e", "started_at_unix_ns": 0, "duration_us": 0}
    fields |= {"fluxrun_version": "1", "python_version": "3"}

    if text or field not in {"project", "entry"}:
        Index.model_validate({**fields, field: fitted})
    assert len(fitted) <= len(text)
    assert fitted == fit_index_field(field, fitted)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", ""),
        ("project", "shop\n"),
        ("entry", "a b"),
        ("entry", "e" * 129),
        ("route", "GET /orders/%2e%2e"),
        ("route", 'GET /"'),
        ("error_type", "Error: text"),
        ("fingerprint", "00"),
        ("release", "<script>"),
        ("status", 99),
        ("status", True),
        ("duration_us", -1),
        ("duration_us", 1.5),
        ("started_at_unix_ns", 2**63),
        ("counts", {"HTTP": 1}),
        ("counts", {"http": -1}),
        ("counts", {f"k{number}": 1 for number in range(65)}),
        ("reasons", ("Free text",)),
        ("reasons", ("a",) * 33),
        ("readiness", "proven"),
        ("recipients", ("00",)),
        ("recipients", ("00" * 16,) * 17),
        ("run_id", "8" + "0" * 25),
        ("user", "alice"),
    ],
)
def test_value_outside_the_allow_list_is_refused(index: Index, field: str, value: object) -> None:
    """What the spec doesn't allow can't get into an index."""
    with pytest.raises(ValidationError):
        Index.model_validate({**index.model_dump(), field: value})


def test_index_over_its_limit_is_refused(index: Index) -> None:
    """Sealing keeps the 64 KiB that readers check."""
    oversized = index.model_copy(update={"reasons": ("x" * 70_000,)})

    with pytest.raises(BundleTooLarge):
        encode_index(oversized, [])
