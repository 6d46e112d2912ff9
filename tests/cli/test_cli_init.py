"""`fluxrun init`, `fluxrun token`, `fluxrun keys`."""

from __future__ import annotations

import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_fluxrun.bundle import ProjectKey, Token, load_project_keys, read_trust, write_trust
from pytest_fluxrun.cli import fluxrun


def run(*arguments: str, code: int = 0, **given: Any) -> Result:
    result = CliRunner().invoke(fluxrun, list(arguments), **given)
    assert code == result.exit_code, result.output
    return result


def everything_below(*roots: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()}


def test_init_makes_all_that_recording_needs(bare: Path) -> None:
    """Key, token, trust file, table, directory and ignore line come of one command, and fit together."""
    output = run("init", "--yes").output

    home = bare.parent / "config" / "fluxrun"
    (key,) = load_project_keys({}, home / "web-shop.key")
    token = Token.parse((home / "web-shop.token").read_text())
    trust = read_trust(bare / "fluxrun-trust.toml")
    table = tomllib.loads((bare / "pyproject.toml").read_text())["tool"]["fluxrun"]
    assert (key.public,) == trust.public_keys
    assert trust.producer(token.producer_id) is not None
    assert {"project": "web-shop", "modules": [], "store": "runs"} == table
    assert (bare / "runs").is_dir()
    assert "*.fluxrun.part\n" == (bare / ".gitignore").read_text()
    assert f"export FLUXRUN_TOKEN={token.to_text()}" in output
    assert ["fluxrun check", "pytest --fluxrun-dir=runs/"] == [line.strip() for line in output.splitlines()[-2:]]


def test_secret_files_are_the_owners_only(bare: Path) -> None:
    """Key and token have mode 0600 and lie outside the project."""
    run("init", "--yes")

    home = bare.parent / "config" / "fluxrun"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert {"web-shop.key": 0o600, "web-shop.token": 0o600} == modes


def test_a_second_init_changes_nothing_and_shows_no_secret(bare: Path) -> None:
    """Every byte stays; what was found is said; the token isn't printed again."""
    run("init", "--yes")
    before = everything_below(bare, bare.parent / "config")

    output = run("init", "--yes").output

    assert before == everything_below(bare, bare.parent / "config")
    assert "nothing was changed" in output
    assert "fluxrun-token-" not in output
    assert 6 == output.count("  found ")


def test_pyproject_is_only_appended_to(bare: Path) -> None:
    """Comments, spacing and a missing last newline survive; the name is taken from the file."""
    odd = '[project]\nname   = "My.Shop" # odd\n\n[tool.black]\nline-length=88'
    (bare / "pyproject.toml").write_text(odd)

    run("init", "--yes")

    after = (bare / "pyproject.toml").read_text()
    assert after.startswith(odd)
    assert "my.shop" == tomllib.loads(after)["tool"]["fluxrun"]["project"]


def test_pyproject_that_can_take_no_table_is_left_alone(bare: Path) -> None:
    """Where appending would break the file, it isn't touched and the error says so."""
    inline = "tool = { black = { line-length = 88 } }\n"
    (bare / "pyproject.toml").write_text(inline)

    result = run("init", "--yes", code=2)

    assert inline == (bare / "pyproject.toml").read_text()
    assert "[tool.fluxrun] can't be added" in result.stderr


def test_an_existing_table_key_and_ignore_file_are_used(bare: Path) -> None:
    """The key and the name that are there stay."""
    (bare / "pyproject.toml").write_text('[tool.fluxrun]\nproject = "till"\n')
    (bare / ".gitignore").write_text("build/")
    key_file = bare.parent / "config" / "fluxrun" / "till.key"
    key_file.parent.mkdir(parents=True)
    key = ProjectKey.generate()
    key_file.write_text(f"{key.to_text()}\n")
    key_file.chmod(0o600)

    run("init", "--yes")

    assert f"{key.to_text()}\n" == key_file.read_text()
    assert (key.public,) == read_trust(bare / "fluxrun-trust.toml").public_keys
    assert '[tool.fluxrun]\nproject = "till"\n' == (bare / "pyproject.toml").read_text()
    assert "build/\n*.fluxrun.part\n" == (bare / ".gitignore").read_text()


def test_another_name_than_the_settings_is_refused(bare: Path) -> None:
    """--project can't rename a project that has a name."""
    (bare / "pyproject.toml").write_text('[tool.fluxrun]\nproject = "till"\n')

    result = run("init", "--yes", "--project", "shop", code=2)

    assert "the project can't be named 'shop'" in result.stderr
    assert not (bare.parent / "config").exists()


def test_without_yes_each_change_is_asked_for(bare: Path) -> None:
    """Declined things aren't made; the others are."""
    output = run("init", input="y\ny\ny\nn\ny\nn\n").output

    assert 6 == output.count("[Y/n]")
    assert not (bare / "pyproject.toml").exists()
    assert not (bare / ".gitignore").exists()
    assert (bare / "runs").is_dir()


def test_declining_the_key_ends_it(bare: Path) -> None:
    """Without a key the rest has no sense, and nothing is written."""
    result = run("init", input="n\n", code=2)

    assert "nothing more was set up" in result.stderr
    assert {} == everything_below(bare, bare.parent)


def test_a_revoked_token_is_not_trusted_again(bare: Path) -> None:
    """A revocation is never lifted."""
    run("init", "--yes")
    trust_file = bare / "fluxrun-trust.toml"
    trust_file.write_text(trust_file.read_text() + "revoked = true\n")

    result = run("init", "--yes", code=2)

    assert "is revoked" in result.stderr
    assert read_trust(trust_file).producers[0].revoked


def test_a_colleagues_clone_gets_a_key_beside_the_first(shop: Any) -> None:
    """Without the key that the trust file seals to, init adds one and says who opens the earlier runs."""
    shop.key_file.unlink()

    output = shop.fluxrun("init", "--yes").output

    trust = read_trust(shop.root / "fluxrun-trust.toml")
    (key,) = load_project_keys({}, shop.key_file)
    assert (shop.key.public, key.public) == trust.public_keys
    assert f"earlier runs are sealed to {shop.key.public.key_id.hex()[:8]}" in output


def test_x25519_is_available(bare: Path) -> None:
    """--algorithm decides how runs are sealed."""
    run("init", "--yes", "--algorithm", "x25519")

    (key,) = read_trust(bare / "fluxrun-trust.toml").public_keys
    assert "X25519" == key.algorithm.name


def test_token_prints_the_kept_token(bare: Path) -> None:
    """`fluxrun token` gives what init made, alone on its line."""
    run("init", "--yes")

    printed = run("token").output

    assert (bare.parent / "config" / "fluxrun" / "web-shop.token").read_text() == printed


def test_token_that_others_can_read_is_not_used(bare: Path) -> None:
    """A token file with a wide mode is an error that names the mode and the repair."""
    run("init", "--yes")
    file = bare.parent / "config" / "fluxrun" / "web-shop.token"
    file.chmod(0o644)

    result = run("token", code=2)

    assert "its mode is 0644" in result.stderr
    assert "fluxrun-token-" not in result.output


def test_missing_token_says_where_it_would_be(bare: Path) -> None:
    """The error names the file and `fluxrun init`."""
    result = run("token", code=2)

    assert "app.token" in result.stderr
    assert "fluxrun init" in result.stderr


def test_keys_list_names_what_is_held_and_what_is_trusted(shop: Any) -> None:
    """Ids are shown, secrets aren't."""
    output = shop.fluxrun("keys", "list").output

    assert f"opens      {shop.key.public.key_id.hex()}  x25519" in output
    assert shop.token.producer_id.hex() in output
    assert "fluxrun-key-" not in output


def test_show_public_prints_what_seals(shop: Any) -> None:
    """The public half, as FLUXRUN_PUBLIC_KEY takes it."""
    assert f"{shop.key.public.to_text()}\n" == shop.fluxrun("keys", "show-public").output


def test_a_new_key_is_added_and_the_old_one_stays(shop: Any) -> None:
    """Runs are sealed to both from then on, and both can be opened."""
    shop.fluxrun("keys", "new", "--algorithm", "x25519", "--note", "second")

    keys = load_project_keys({}, shop.key_file)
    assert shop.key.public == keys[0].public
    assert [key.public for key in keys] == list(read_trust(shop.root / "fluxrun-trust.toml").public_keys)
    assert 0o600 == stat.S_IMODE(shop.key_file.stat().st_mode)


def test_trust_file_of_another_project_is_refused(shop: Any) -> None:
    """Two projects' trust isn't mixed."""
    trust = read_trust(shop.root / "fluxrun-trust.toml")
    write_trust(shop.root / "fluxrun-trust.toml", type(trust)("till", trust.recipients, trust.producers))

    result = shop.fluxrun("init", "--yes", code=2)

    assert "belongs to the project 'till'" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "--help"], ["expect", "--help"]])
def test_help_loads_no_command_and_no_command_loads_pytest(arguments: list[str]) -> None:
    """The help of all commands needs none of them; a command runs pytest, if at all, as a process."""
    unwanted = {"pytest", "rich", "pytest" if len(arguments) > 1 else "cryptography"}
    code = (
        f"import sys; from pytest_fluxrun.cli import fluxrun; fluxrun.main({arguments!r}, standalone_mode=False); "
        f"sys.exit(','.join({unwanted!r} & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


def test_module_and_command_are_the_same(bare: Path) -> None:
    """`python -m pytest_fluxrun` speaks as `fluxrun`, and an unknown command is a usage error."""
    help_ = subprocess.run([sys.executable, "-m", "pytest_fluxrun", "-h"], capture_output=True, text=True, check=False)
    wrong = subprocess.run([sys.executable, "-m", "pytest_fluxrun", "lst"], capture_output=True, text=True, check=False)

    assert help_.stdout.startswith("Usage: fluxrun ")
    assert 2 == wrong.returncode
    assert "No such command 'lst'" in wrong.stderr
