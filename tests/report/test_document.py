"""The report as data: what is published, what is read back, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.report.document import json_schema, read_report, to_json, write_atomically
from tests.report.made import report_of, run_of

PUBLISHED = Path(__file__).parents[2] / "docs" / "spec" / "report-v1.schema.json"
ACCEPT = "ACCEPT_REPORT_SCHEMA=1 python -m pytest tests/report/test_document.py"


def test_published_schema_is_that_of_the_code():
    """A key that is added is added in the published schema too."""
    if os.environ.get("ACCEPT_REPORT_SCHEMA"):
        PUBLISHED.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    assert json_schema() == json.loads(PUBLISHED.read_text(encoding="utf-8")), f"edit it, or run:\n  {ACCEPT}"


def test_report_validates_against_the_published_schema():
    """What is written is what is published, and a report without a run id isn't."""
    document = json.loads(to_json(report_of(run_of(1), run_of(2))))
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))

    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    del document["runs"][1]["run_id"]
    with pytest.raises(jsonschema.ValidationError, match="run_id"):
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_report_is_read_as_it_was_written(tmp_path: Path):
    """Through a file and back it is equal."""
    report = report_of(run_of(1, first_divergence="früh → spät"), run_of(2, guard=None), exit_status=0)
    write_atomically(tmp_path / "out.json", to_json(report))

    assert report == read_report(tmp_path / "out.json")
    assert ["out.json"] == [path.name for path in tmp_path.iterdir()]


def test_later_key_is_ignored(tmp_path: Path):
    """A key that a later FluxRun adds to this version doesn't disturb."""
    document = json.loads(to_json(report_of(run_of(1))))
    document["runs"][0]["mood"] = "sunny"
    (tmp_path / "out.json").write_text(json.dumps(document))

    assert report_of(run_of(1)) == read_report(tmp_path / "out.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "it isn't JSON"),
        (b"[]", "it isn't a report of FluxRun"),
        (b'{"created": 1, "tests": []}', "it isn't a report of FluxRun"),
        (b'{"report": "fluxrun", "version": 1, "project": "shop"}', "session: Field required"),
        (b'{"report": "fluxrun", "version": 2}', "has version 2: this FluxRun reads versions up to 1"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, said: str):
    """The message says why, and the next step."""
    path = tmp_path / "main.json"
    path.write_bytes(content)

    with pytest.raises(FluxRunError) as refused:
        read_report(path)

    assert said in str(refused.value)
    assert refused.value.next_step


def test_absent_report_is_refused(tmp_path: Path):
    """By its name."""
    with pytest.raises(FluxRunError, match=r"main\.json' can't be read: No such file"):
        read_report(tmp_path / "main.json")


def test_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk that is full at the last moment costs the new report, not the old one, and leaves nothing beside it."""
    path = tmp_path / "out.json"
    path.write_bytes(b"old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")

    assert b"old" == path.read_bytes()
    assert ["out.json"] == [path.name for path in tmp_path.iterdir()]
