"""The trust file: round trips, refusals, revocation, and that writing never leaves a file that can't be read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_fluxrun.bundle import Algorithm, Producer, ProjectKey, Recipient, Token, Trust, read_trust, write_trust
from pytest_fluxrun.errors import KeyFileError

KEY, XWING = ProjectKey.generate(Algorithm.X25519), ProjectKey.generate()
TOKEN = Token.generate()
FULL = Trust("shop", (Recipient(KEY.public, "team"), Recipient(XWING.public)), (Producer.of(TOKEN, note="eu"),))
NOTES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notes=st.lists(NOTES, min_size=3, max_size=3), revoked=st.booleans())
def test_trust_file_round_trips(tmp_path: Path, notes: list[str], revoked: bool) -> None:
    """Whatever a note says, what was written is what is read, and writing it again changes no byte."""
    file = tmp_path / "fluxrun-trust.toml"
    producer = Producer(TOKEN.producer_id, TOKEN.verifying_key, notes[2], revoked)
    trust = Trust("shop", (Recipient(KEY.public, notes[0]), Recipient(XWING.public, notes[1])), (producer,))

    write_trust(file, trust)
    first = file.read_bytes()
    write_trust(file, read_trust(file))

    assert trust == read_trust(file)
    assert first == file.read_bytes()
    assert [file] == list(tmp_path.iterdir())


def test_trust_file_holds_no_secret(tmp_path: Path) -> None:
    """The file is committed: nothing in it opens or signs anything."""
    file = tmp_path / "fluxrun-trust.toml"
    write_trust(file, FULL)
    text = file.read_text()

    for secret in (KEY.to_text(), XWING.to_text(), TOKEN.to_text()):
        assert secret[14:40] not in text
    assert "fluxrun-key-" not in text
    assert "fluxrun-token-" not in text
    assert tomllib.loads(text)["project"] == "shop"


def test_producer_is_found_by_id() -> None:
    """Only the ids of the file are known."""
    assert FULL.producers[0] == FULL.producer(TOKEN.producer_id)
    assert FULL.producer(bytes(16)) is None
    assert (KEY.public, XWING.public) == FULL.public_keys


def test_producer_checks_signatures() -> None:
    """A signature fits one message of one producer."""
    producer = Producer.of(TOKEN)

    assert producer.signed(b"message", TOKEN.sign(b"message"))
    assert not producer.signed(b"other", TOKEN.sign(b"message"))
    assert not producer.signed(b"message", Token.generate().sign(b"message"))
    assert not producer.signed(b"message", b"")


def test_adding_replaces_what_has_the_same_id() -> None:
    """Revoking a producer is adding it again; a recipient is there once."""
    revoked = FULL.with_producer(Producer(TOKEN.producer_id, TOKEN.verifying_key, revoked=True))
    again = FULL.with_recipient(Recipient(KEY.public, "renamed"))
    more = FULL.with_producer(Producer.of(Token.generate()))

    assert all(producer.revoked for producer in revoked.producers)
    assert {"renamed", ""} == {recipient.note for recipient in again.recipients}
    assert len(more.producers) == 2


def test_missing_trust_file_names_the_next_command(tmp_path: Path) -> None:
    """Without the file nothing is trusted, and the error says how to get it."""
    with pytest.raises(KeyFileError, match="there is no trust file") as caught:
        read_trust(tmp_path / "fluxrun-trust.toml")
    assert "fluxrun init" in caught.value.next_step


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("version = 1", "version = 2"), "version"),
        (("version = 1", "version = 1\nextra = 1"), "extra"),
        (('project = "shop"', 'project = "sh op"'), "project"),
        (('project = "shop"', ""), "project"),
        (("[[producer]]", "[[producers]]"), "producers"),
        (('note = "eu"', 'note = "eu"\nrevoked = "yes"'), "producer.0.revoked"),
        (('note = "eu"', 'note = "e\\nu"'), "producer.0.note"),
        (("fluxrun-verify-0", "fluxrun-verify-1"), "checksum"),
        (("fluxrun-verify-", "fluxrun-pub-"), "doesn't begin"),
        (("fluxrun-pub-", "fluxrun-key-"), "doesn't begin"),
        (('id = "', 'id = "zz'), "producer.0.id"),
        (("= 1", "== 1"), "Invalid value"),
    ],
)
def test_trust_file_that_says_too_much_or_too_little_is_refused(
    tmp_path: Path, change: tuple[str, str], why: str
) -> None:
    """Each thing that doesn't belong in the file is named."""
    file = tmp_path / "fluxrun-trust.toml"
    token = Token.from_seed(bytes(16), bytes(range(32)))
    write_trust(file, Trust("shop", (Recipient(KEY.public),), (Producer.of(token, note="eu"),)))
    text = file.read_text()
    if change[0] == "fluxrun-verify-0":
        at = text.index("fluxrun-verify-") + len("fluxrun-verify-")
        changed = text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :]
    else:
        changed = text.replace(*change)
    assert changed != text
    file.write_text(changed)

    with pytest.raises(KeyFileError, match="can't be used") as caught:
        read_trust(file)
    assert why in caught.value.why
    assert str(file) in caught.value.what


@pytest.mark.parametrize("table", ["recipient", "producer"])
def test_key_that_stands_in_it_twice_is_refused(tmp_path: Path, table: str) -> None:
    """Two entries of one id could contradict each other."""
    file = tmp_path / "fluxrun-trust.toml"
    write_trust(file, Trust("shop", (Recipient(KEY.public),), (Producer.of(TOKEN),)))
    text = file.read_text()
    block = f"[[{table}]]" + text.partition(f"[[{table}]]")[2].partition("[[")[0]
    file.write_text(f"{text}\n{block}")

    with pytest.raises(KeyFileError) as caught:
        read_trust(file)
    assert f"the {table}" in caught.value.why
    assert "twice" in caught.value.why


@pytest.mark.parametrize(
    "trust",
    [
        Trust("no good name"),
        Trust("shop", (Recipient(KEY.public, "two\nlines"),)),
        Trust("shop", FULL.recipients * 2),
    ],
)
def test_trust_that_couldnt_be_read_again_is_not_written(tmp_path: Path, trust: Trust) -> None:
    """A content that reading would refuse leaves the file as it was."""
    file = tmp_path / "fluxrun-trust.toml"
    write_trust(file, FULL)

    with pytest.raises(KeyFileError, match="was not written"):
        write_trust(file, trust)

    assert read_trust(file) == FULL


def test_unwritable_directory_is_named(tmp_path: Path) -> None:
    """A directory that isn't there gives a sentence."""
    with pytest.raises(KeyFileError, match="was not written"):
        write_trust(tmp_path / "none" / "fluxrun-trust.toml", FULL)


def test_binary_file_is_no_trust_file(tmp_path: Path) -> None:
    """Bytes that aren't UTF-8 are refused with a sentence."""
    file = tmp_path / "fluxrun-trust.toml"
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(KeyFileError, match="can't be used"):
        read_trust(file)
