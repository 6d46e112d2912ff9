"""click commands: each invocation of the outermost command is a run, with its words, exit code and printed text.

For a captured function beneath `@click.command()` see `function`: that run holds the parsed values.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO, cast

from pytest_fluxrun.context import Lane, current_lane, entered
from pytest_fluxrun.entries.calling import finish, kept, outcome_of
from pytest_fluxrun.entry import Driving, Entry, open_run
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.values import Value, decode

__all__ = ["ClickEntry", "entry"]


class ClickEntry(Entry):
    """A click command or group."""

    kind = "click"
    takes = "a click command"

    def recognises(self, target: Any) -> bool:
        """A `click.Command`, groups included."""
        click = sys.modules.get("click")
        return click is not None and isinstance(target, getattr(click, "Command", ()))

    def describe(self, target: Any) -> str:
        """With its name."""
        return f"the click command {target.name!r}"

    def wrap(self, target: Any, name: str) -> Any:
        """The same command, its `main` recorded: groups and test runners hold it by its identity."""
        if not hasattr(target.main, "__fluxrun__"):
            target.main = _recording(target.main, name)
        return target

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Run the command with the recorded words."""
        recorded: Any = decode(recorded_input)
        main = target.main.__fluxrun__
        return driving.call(
            lambda: _outcome(lambda: main(recorded["args"], recorded["prog_name"], **recorded["options"]))
        )


def _recording(main: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(main)
    def recorded_main(args: Any = None, prog_name: str | None = None, *more: Any, **options: Any) -> Any:
        run = open_run(name, entry)
        if run is None:
            return main(args, prog_name, *more, **options)
        words = list(sys.argv[1:] if args is None else args)
        recorded = kept({"args": words, "prog_name": prog_name, "options": options})
        error: BaseException | None = None
        returned: Any = None
        with _printed(run.lane) as printed:
            try:
                with entered(run.lane):
                    returned = main(args, prog_name, *more, **options)
            except BaseException as raised:
                error = raised
                raise
            finally:
                failure = None if _is_success(error) else error
                finish(run, recorded, _outcome_of(printed, returned, error), failure)
        return returned

    recorded_main.__fluxrun__ = main  # type: ignore[attr-defined]  # what a replay runs
    return recorded_main


def _outcome(main: Callable[[], Any]) -> Value:
    with _printed(current_lane()) as printed:
        try:
            return _outcome_of(printed, main(), None)
        except (DeadlineExceeded, KeyboardInterrupt):
            raise
        except BaseException as raised:  # the outcome of the run, whatever it is
            return _outcome_of(printed, None, raised)


def _outcome_of(printed: list[str], returned: Any, error: BaseException | None) -> Value:
    """A zero exit is no error; the code is beside what was printed either way."""
    code = error.code if isinstance(error, SystemExit) else None
    result = {"exit_code": kept(code), "output": kept("".join(printed)), "returned": kept(returned)}
    return outcome_of(returned=result, error=None if _is_success(error) else error)


def _is_success(error: BaseException | None) -> bool:
    return error is None or (isinstance(error, SystemExit) and not error.code)


class _printed:  # noqa: N801 - it reads as a function, and a generator would cost more than it does
    """What a run's code writes to standard output as text within the block, which goes there all the same."""

    __slots__ = ("_sink", "_tee")
    _tee: _Tee

    def __init__(self, lane: Lane | None) -> None:
        texts: list[str] = []
        self._sink = lane, texts

    def __enter__(self) -> list[str]:
        with _lock:
            self._tee = tee = _tee_of(sys.stdout)
            sys.stdout = cast("TextIO", tee)
            tee.sinks.append(self._sink)
        return self._sink[1]

    def __exit__(self, *_: object) -> None:
        tee = self._tee
        with _lock:
            tee.sinks.remove(self._sink)
            if not tee.sinks and cast("Any", sys.stdout) is tee:  # unless the program has replaced it
                sys.stdout = tee.stream


_lock = threading.Lock()


class _Tee:
    """A text stream that keeps what is written, for each of the runs under way."""

    def __init__(self, stream: Any) -> None:
        self.sinks: list[tuple[Lane | None, list[str]]] = []
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, and keep what could be written: click tries whether a stream takes bytes."""
        written: int = self.stream.write(text)
        lane = current_lane()
        for owner, texts in list(self.sinks):
            if owner is None or (lane is not None and lane.session is owner.session):
                texts.append(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_latest = _Tee(None)


def _tee_of(stream: Any) -> _Tee:
    """A stream's tee: that of the run before where it is the same, for click remembers what a stream takes."""
    global _latest  # noqa: PLW0603 - one standard output for the process
    if isinstance(stream, _Tee):
        return stream
    if _latest.stream is not stream:
        _latest = _Tee(stream)
    return _latest


entry = ClickEntry()
