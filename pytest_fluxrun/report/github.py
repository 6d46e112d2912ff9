"""What GitHub Actions reads: annotations as workflow commands, and a step summary in Markdown. Pure, but for `append`.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands; a step shows ten errors at most, and
a summary may have 1 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_fluxrun.report.plain_text import bounded, shortened

__all__ = ["RedRun", "annotation_lines", "append", "step_summary"]

_MOST_ANNOTATIONS: Final = 10
_MOST_ROWS: Final = 50
_LONGEST: Final = 300
_LONGEST_ANNOTATION: Final = 4_000
_MEANS_SOMETHING: Final = re.compile(r"[&<>\"'`*_~|@#\\\[\]]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What HTML, Markdown, a table, or GitHub with its links of addresses, people and issues could take for its own."""


@dataclass(frozen=True, slots=True)
class RedRun:
    """A run that isn't green.

    Attributes:
        name: `<entry>-<run id>`.
        verdict: its verdict.
        text: its failure.
        file: where a reader should look, from the repository's root: the entry's definition, else the guard.
        line: in that file, from 1.
        rerun: the command that replays it.
    """

    name: str
    verdict: str
    text: str
    file: str
    line: int
    rerun: str


def annotation_lines(red: Sequence[RedRun], gate: str) -> Iterator[str]:
    """One line for each of the first runs, one for the others together, one for the gate."""
    if gate:
        yield f"::error title={_property('fluxrun gate')}::{_data(gate)}"
    shown = red[: _MOST_ANNOTATIONS - 1 - bool(gate)]
    for run in shown:
        where = f"file={_property(run.file)},line={run.line},title={_property(f'fluxrun: {run.name} {run.verdict}')}"
        yield f"::error {where}::{_data(run.text)}"
    if len(red) > len(shown):
        yield f"::error title=fluxrun::{_data(f'{len(red) - len(shown)} more runs are not green: see the log')}"


def step_summary(verdicts: Mapping[str, int], red: Sequence[RedRun], gate: str, notes: Iterable[str]) -> str:
    """A heading, the gate, a table of the runs that aren't green, and what else the session says."""
    word = "not green" if gate or red else "green"
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    lines = [f"### FluxRun: {word}", "", f"{sum(verdicts.values())} runs: {counts or 'none'}", ""]
    if gate:
        lines += [f"**The gate:** {_code(gate)}", ""]
    if red:
        lines += ["| run | verdict | what changed | again |", "|---|---|---|---|"]
        lines += [_row(run) for run in red[:_MOST_ROWS]]
        if len(red) > _MOST_ROWS:
            lines.append(f"| … and {len(red) - _MOST_ROWS} more | | | |")
        lines.append("")
    lines += [f"- {_code(note)}" for note in notes]
    return "\n".join(lines) + "\n"


def append(path: Path, text: str) -> None:
    """Add to a file that other steps add to as well."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _row(run: RedRun) -> str:
    first = run.text.partition("\n")[0].removeprefix(f"{run.verdict}: ")
    return f"| {_code(run.name)} | {run.verdict} | {_code(first)} | {_code(run.rerun)} |"


def _code(text: str) -> str:
    """Text that neither Markdown (which is read between the tags of HTML too), a table nor HTML takes for its own."""
    return f"<code>{_MEANS_SOMETHING.sub(lambda sign: f'&#{ord(sign[0])};', shortened(text, _LONGEST))}</code>"


def _data(text: str) -> str:
    shown = bounded(text, _LONGEST_ANNOTATION, keep="\r\n")
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
