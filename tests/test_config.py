"""Settings: three sources in order, and an error that names the setting, its place and the nearest name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_fluxrun.config import Settings, current_settings, load_settings, use_settings
from pytest_fluxrun.errors import SettingsError


def load(folder: Path, toml: str = "", environ: dict[str, str] | None = None, **arguments: Any) -> Settings:
    """Settings as found from a directory two below the file."""
    (folder / "pyproject.toml").write_text(f"[tool.fluxrun]\n{toml}\n")
    start = folder / "src" / "shop"
    start.mkdir(parents=True, exist_ok=True)
    return load_settings(arguments, environ=environ or {}, start_dir=start)


def test_arguments_win_over_variables_and_those_over_the_table(tmp_path: Path) -> None:
    """Each setting by itself."""
    toml = 'project = "table"\nsample = 0.1\nrelease = "table"'

    settings = load(tmp_path, toml, {"FLUXRUN_SAMPLE": "0.2", "FLUXRUN_PROJECT": "variable"}, project="argument")

    assert (settings.project, settings.sample, settings.release) == ("argument", 0.2, "table")


def test_without_any_source_there_are_defaults(tmp_path: Path) -> None:
    """No file, no variable; None and an empty variable count as not given."""
    settings = load_settings({"sample": None}, environ={"FLUXRUN_SAMPLE": "", "HOME": "/"}, start_dir=tmp_path)

    assert settings == Settings(trust_file=str(tmp_path / "fluxrun-trust.toml"))
    assert (settings.sample, settings.keep_4xx, settings.timeout_s, settings.token) == (0.0, False, 10.0, None)


def test_variables_are_text(tmp_path: Path) -> None:
    """Booleans, numbers and lists are read from it; the project key isn't a setting."""
    environ = {
        "FLUXRUN_KEEP_4XX": "1",
        "FLUXRUN_SLOW_S": "2.5",
        "FLUXRUN_DENY": "loyalty, iban",
        "FLUXRUN_MODULES": "shop.main",
        "FLUXRUN_PROJECT_KEY": "fluxrun-key-x",
        "FLUXRUN_DISABLED": "true",
    }

    settings = load(tmp_path, environ=environ)

    assert (settings.keep_4xx, settings.slow_s, settings.disabled) == (True, 2.5, True)
    assert (settings.deny, settings.modules) == (("loyalty", "iban"), ("shop.main",))


def test_paths_are_relative_to_where_they_are_written(tmp_path: Path) -> None:
    """The file's to the file, others to the working directory; locations with a scheme and absolute paths stay."""
    settings = load(tmp_path, 'store = "runs"', {"FLUXRUN_KEY_FILE": "key"})

    assert settings.store == str(tmp_path / "runs")
    assert settings.key_file == str(tmp_path / "src" / "shop" / "key")
    assert settings.trust_file == str(tmp_path / "fluxrun-trust.toml")
    assert load(tmp_path, 'store = "s3://bucket/runs"').store == "s3://bucket/runs"
    assert load(tmp_path, "", store="/srv/runs").store == "/srv/runs"


def test_the_nearest_file_with_a_table_counts(tmp_path: Path) -> None:
    """A file without [tool.fluxrun] in between doesn't hide the project's."""
    start = tmp_path / "src"
    start.mkdir()
    (start / "pyproject.toml").write_text("[tool.other]\n")

    assert load(tmp_path, 'project = "shop"').project == "shop"


def test_the_table_live_is_reserved(tmp_path: Path) -> None:
    """Development environments by name, for `fluxrun extend`."""
    assert load(tmp_path, '[tool.fluxrun.live]\ndev = "https://dev.example"').live == {"dev": "https://dev.example"}


WRONG = [
    ("\nsampl = 1", {}, {}, "there is no setting 'sampl'", "pyproject.toml:3 [tool.fluxrun]", "did you mean 'sample'?"),
    ("", {"FLUXRUN_KEEP_4X": "1"}, {}, "there is no setting 'keep_4x'", "the variable FLUXRUN_KEEP_4X", "'keep_4xx'?"),
    ("", {}, {"zzz": 1}, "there is no setting 'zzz'", "the argument zzz", "the settings are allow, allow_write, deny"),
    (
        "sample = 7",
        {},
        {},
        "the setting sample 7 can't be used",
        "pyproject.toml:2 [tool.fluxrun]",
        "the default is 0.0",
    ),
    ("", {"FLUXRUN_SLOW_S": "-1"}, {}, "the setting slow_s '-1'", "greater than 0; it comes from the variable", "none"),
    ("", {}, {"log_level": "loud"}, "the setting log_level 'loud'", "it must be a level of logging", "'NOTSET'"),
    ("", {}, {"project": "my shop"}, "the setting project 'my shop'", "the argument project", "letters, digits"),
    ("modules = 3", {}, {}, "the setting modules 3", "pyproject.toml:2", "none"),
]


@pytest.mark.parametrize(
    ("toml", "environ", "arguments", "what", "why", "next_step"), WRONG, ids=[case[3] for case in WRONG]
)
def test_a_wrong_setting_says_which_where_and_what_next(
    tmp_path: Path, toml: str, environ: dict[str, str], arguments: dict[str, Any], what: str, why: str, next_step: str
) -> None:
    """Unknown or unusable, in each of the three places."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml, environ, **arguments)

    assert what in caught.value.what
    assert why in caught.value.why
    assert next_step in caught.value.next_step


@pytest.mark.parametrize("text", ["[tool.fluxrun", "[tool]\nfluxrun = 3", "\xff"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    """Not TOML, not a table, not UTF-8."""
    (tmp_path / "pyproject.toml").write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingsError, match=r"pyproject\.toml can't be"):
        load_settings({}, environ={}, start_dir=tmp_path)


def test_the_token_is_never_shown(tmp_path: Path) -> None:
    """Neither in repr nor in the error for a bad one."""
    settings = load(tmp_path, environ={"FLUXRUN_TOKEN": "fluxrun-token-s3cr3t"})
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, token=["fluxrun-token-s3cr3t"])

    assert settings.token is not None
    assert settings.token.get_secret_value() == "fluxrun-token-s3cr3t"
    assert "s3cr3t" not in f"{settings!r} {settings} {settings.model_dump()} {caught.value}"


def test_settings_do_not_change() -> None:
    """They are shared by threads."""
    with pytest.raises(ValidationError):
        Settings().sample = 1.0  # type: ignore[misc]


def test_the_settings_in_use_are_the_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that `init` chose; before it, those of the place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXRUN_PROJECT", "from-variable")
    use_settings(None)
    assert current_settings().project == "from-variable"
    try:
        use_settings(Settings(project="chosen"))
        assert current_settings().project == "chosen"
    finally:
        use_settings(None)


def test_neither_settings_nor_values_import_pytest() -> None:
    """Production has none."""
    code = "import pytest_fluxrun.config, pytest_fluxrun.values, sys; print({'pytest', 'respx'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
