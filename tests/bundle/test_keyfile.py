"""The key file and FLUXRUN_PROJECT_KEY: read, written once, refused where others can read it."""

from __future__ import annotations

import stat
from pathlib import Path
from types import TracebackType

import pytest

from pytest_fluxrun.bundle import Algorithm, ProjectKey, load_project_keys, write_project_key
from pytest_fluxrun.errors import KeyFileError

FIRST, SECOND = (ProjectKey.from_seed(Algorithm.X25519, bytes([number]) * 32) for number in (1, 2))


def test_written_key_is_read_back(tmp_path: Path) -> None:
    """What `fluxrun init` writes is what a replay reads."""
    file = tmp_path / "deep" / "shop.key"

    write_project_key(file, FIRST, comment="shop,\nkeep it")

    assert load_project_keys({}, file) == (FIRST,)
    assert file.read_text().startswith("# shop, keep it\nfluxrun-key-")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    """A key that is there stays, byte for byte."""
    file = tmp_path / "shop.key"
    file.write_text("precious")

    with pytest.raises(KeyFileError, match="never overwritten"):
        write_project_key(file, FIRST)

    assert file.read_text() == "precious"


def test_dangling_link_isnt_followed(tmp_path: Path) -> None:
    """A link where the key should be is something that is there."""
    file = tmp_path / "shop.key"
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyFileError, match="never overwritten"):
        write_project_key(file, FIRST)

    assert not (tmp_path / "elsewhere").exists()


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    """A parent that is a file gives a sentence, not a traceback from the operating system."""
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyFileError, match="was not written") as caught:
        write_project_key(tmp_path / "file" / "shop.key", FIRST)

    assert "directory" in caught.value.why


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that refuses files")
def test_directory_that_refuses_files_is_named() -> None:
    """What the operating system says is passed on."""
    with pytest.raises(KeyFileError, match="was not written") as caught:
        write_project_key(Path("/proc/self/shop.key"), FIRST)

    assert "never overwritten" not in caught.value.why


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_key_file_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """Any access of group or world is named with the command that ends it."""
    file = tmp_path / "shop.key"
    write_project_key(file, FIRST)
    file.chmod(mode)

    with pytest.raises(KeyFileError) as caught:
        load_project_keys({}, file)

    assert f"{mode:04o}" in caught.value.why
    assert f"chmod 600 {file}" in caught.value.next_step


def test_missing_file_holds_no_key(tmp_path: Path) -> None:
    """Where CI has no key, there is none, and that is no error here."""
    assert load_project_keys({}, tmp_path / "none") == ()
    assert load_project_keys({}) == ()


def test_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    """A path that can't be read as a file says so."""
    with pytest.raises(KeyFileError, match="can't be read"):
        load_project_keys({}, tmp_path)


def test_environment_comes_first_and_each_key_counts_once(tmp_path: Path) -> None:
    """Keys of both places are held, in order, without repetition."""
    file = tmp_path / "shop.key"
    write_project_key(file, FIRST)

    both = load_project_keys({"FLUXRUN_PROJECT_KEY": f"{SECOND.to_text()}, {FIRST.to_text()}"}, file)

    assert both == (SECOND, FIRST)


def test_key_file_holds_several_keys_and_comments(tmp_path: Path) -> None:
    """After a rotation both keys are in the file."""
    file = tmp_path / "shop.key"
    file.touch(mode=0o600)
    file.write_text(f"# new\n{SECOND.to_text()}\n\n  # old\n{FIRST.to_text()}\n")

    assert load_project_keys({}, file) == (SECOND, FIRST)


@pytest.mark.parametrize("place", ["environment", "file"])
def test_malformed_key_names_its_place_and_shows_nothing(tmp_path: Path, place: str) -> None:
    """The error says where the key is; no frame of the traceback, with its locals, shows any key."""
    broken = FIRST.to_text()[:-1]
    file = tmp_path / "shop.key"
    file.touch(mode=0o600)
    file.write_text(f"{SECOND.to_text()}\n{broken if place == 'file' else ''}\n")
    variables = {"FLUXRUN_PROJECT_KEY": f"{SECOND.to_text()} {broken}" if place == "environment" else ""}

    with pytest.raises(KeyFileError) as caught:
        load_project_keys(variables, file)

    assert ("FLUXRUN_PROJECT_KEY" if place == "environment" else str(file)) in caught.value.what
    traceback: TracebackType | None = caught.value.__traceback__
    assert traceback is not None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename != __file__:
            held = repr(traceback.tb_frame.f_locals)
            assert broken[14:40] not in held
            assert SECOND.to_text()[14:40] not in held
        traceback = traceback.tb_next
