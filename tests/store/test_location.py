"""From a setting to a store: every scheme, and every way to get it wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.store import DirectoryStore, MemoryStore, open_store
from pytest_fluxrun.store.object import ObjectStore

FOREIGN_STORE = """
from pytest_fluxrun.store import MemoryStore

class ForeignStore(MemoryStore):
    def __init__(self, url):
        super().__init__("foreign " + url)

def make_nothing(url):
    return None
"""


def test_path_is_a_directory_store(tmp_path: Path) -> None:
    """As text, as a Path, as a file URL with escapes, and relative to the working directory."""
    for location in (str(tmp_path), tmp_path, f"file://{tmp_path}", f"file://localhost{tmp_path}"):
        store = open_store(location)
        assert isinstance(store, DirectoryStore)
        assert store.location == str(tmp_path)
    assert open_store("file:///a%20b").location == "/a b"
    assert open_store("runs").location == str(Path.cwd() / "runs")
    assert open_store("~/runs").location == str(Path.home() / "runs")


def test_opening_touches_nothing(tmp_path: Path) -> None:
    """Not even the directory is made."""
    open_store(tmp_path / "runs").close()
    assert list(tmp_path.iterdir()) == []


def test_memory_url_is_a_memory_store() -> None:
    """Its name is what follows the slashes."""
    store = open_store("memory://shop")
    assert isinstance(store, MemoryStore)
    assert store.location == "memory://shop"


def test_s3_url_is_an_object_store() -> None:
    """Its location has neither slash at the end nor query."""
    store = open_store("S3://bucket/team/runs/?timeout_s=5")
    assert isinstance(store, ObjectStore)
    assert store.location == "s3://bucket/team/runs"
    assert store.settings.timeout_s == 5.0


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("", "empty"),
        ("ftp://host/runs", "ftp://"),
        ("s3:bucket/runs", "s3:bucket/runs"),
        ("s3:/bucket/runs", "s3:/bucket/runs"),
        ("file:runs", "file:runs"),
        ("file://otherhost/runs", "otherhost"),
        ("s3://", "s3://"),
        ("s3://buck%65t/runs", "buck%65t"),
        ("s3://bucket/runs?timeout=5", "'timeout'"),
        ("s3://bucket/runs?timeout_s=soon", "'soon'"),
        ("s3://bucket/runs?timeout_s=0", "'0'"),
        ("s3://bucket/runs?timeout_s=nan", "'nan'"),
        ("s3://bucket/runs?timeout_s=601", "'601'"),
        ("s3://bucket/runs?endpoint=localhost:9000", "endpoint"),
        ("s3://bucket/runs?endpoint=http://s3.example.com", "s3.example.com"),
    ],
)
def test_bad_location_is_a_settings_error(location: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what is wrong and what to correct."""
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    with pytest.raises(SettingsError) as caught:
        open_store(location)
    assert named in caught.value.what
    assert caught.value.why
    assert caught.value.next_step


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    """Neither the key nor the secret is in the message."""
    with pytest.raises(SettingsError) as caught:
        open_store("s3://AKIAKEY:planted@bucket/runs")
    assert "AKIAKEY" not in str(caught.value)
    assert "planted" not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        open_store("s3://bucket/runs?endpoint=https://user:planted@host")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000/"])
def test_plain_http_is_allowed_on_loopback(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere only with AWS_ALLOW_HTTP."""
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    store = open_store(f"s3://bucket?endpoint={endpoint}")
    assert isinstance(store, ObjectStore)
    assert store.settings.allow_http is True
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    store = open_store("s3://bucket?endpoint=http://minio.internal:9000")
    assert isinstance(store, ObjectStore)
    assert store.settings.allow_http is True


def test_endpoint_of_the_url_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the service's own variable over the general one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://general.example")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example")
    general = open_store("s3://bucket")
    named = open_store("s3://bucket?endpoint=https://named.example")
    assert isinstance(general, ObjectStore)
    assert isinstance(named, ObjectStore)
    assert general.settings.endpoint == "https://s3.example"
    assert named.settings.endpoint == "https://named.example"


def test_object_store_without_obstore_says_what_to_install() -> None:
    """In an interpreter that can't import it."""
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from pytest_fluxrun.store import open_store\n"
        "try: open_store('s3://bucket/runs')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert shown.startswith("SettingsError ")
    assert "pip install 'pytest-fluxrun[object]'" in shown


def test_store_of_another_distribution_is_found_by_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through an entry point; one that doesn't give a store is named."""
    (tmp_path / "foreign_store.py").write_text(FOREIGN_STORE)
    metadata = tmp_path / "foreign_store-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[fluxrun.stores]\nforeign = foreign_store:ForeignStore\nempty = foreign_store:make_nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert open_store("foreign://x").location == "memory://foreign foreign://x"
    with pytest.raises(SettingsError, match="foreign_store:make_nothing"):
        open_store("empty://x")


def test_import_loads_neither_obstore_nor_pytest() -> None:
    """What records to a directory pays for nothing else."""
    program = (
        "import sys, pytest_fluxrun.store, pytest_fluxrun.store.transfer\n"
        "print(sorted({'obstore', 'boto3', 'pytest', 'respx', 'cryptography', 'rich', 'click'} & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert shown == "[]\n"
