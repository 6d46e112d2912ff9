"""subprocess's boundary with real programs: what they are told and say, how they end, and that a replay starts none."""

from __future__ import annotations

import ctypes.util
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.subprocess import boundary
from pytest_fluxrun.boundaries.threading import boundary as threads
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.fence import Fence
from pytest_fluxrun.kinds.process import PROCESS
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from pytest_fluxrun.values import decode
from tests.boundaries.programs import Programs

PIPE = subprocess.PIPE


@pytest.fixture
def outside(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def script(programs: Programs, text: str) -> list[str]:
    return programs("/bin/sh", "-c", text)


def told(error: subprocess.SubprocessError) -> Any:
    return type(error), str(error)[-60:], error.args[1:], getattr(error, "output", None), getattr(error, "stderr", None)


def run(line: str, **options: Any) -> Callable[[Programs], Any]:
    """`subprocess.run` of a shell script."""

    def exercise(programs: Programs) -> Any:
        done = subprocess.run(script(programs, line), check=False, **options)
        return done.returncode, done.stdout, done.stderr

    return exercise


def opened(line: str, use: Callable[[Any], Any], **options: Any) -> Callable[[Programs], Any]:
    """A Popen of a shell script, in a with-block."""

    def exercise(programs: Programs) -> Any:
        with subprocess.Popen(script(programs, line), **options) as process:
            said = use(process)
        return said, process.returncode

    return exercise


def check(programs: Programs) -> Any:
    try:
        subprocess.run(script(programs, "echo out; echo err >&2; exit 3"), check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        return (
            type(error),
            error.returncode,
            error.output,
            error.stderr,
            error.cmd == script(programs, "echo out; echo err >&2; exit 3"),
        )


def timed_out(programs: Programs) -> Any:
    try:
        subprocess.run(script(programs, "echo early; exec sleep 20"), capture_output=True, timeout=1.5, check=False)
    except subprocess.TimeoutExpired as error:
        return told(error), error.cmd[0] == str(programs.path), error.timeout


def wait_times_out(process: Any) -> Any:
    first = process.stdout.readline()
    try:
        process.wait(timeout=0.05)
    except subprocess.TimeoutExpired as error:
        process.kill()
        return first, told(error), process.wait(), process.poll()


def missing(programs: Programs) -> Any:
    subprocess.run([str(programs.folder / "nowhere")], check=False)


def missing_in_path(_: Programs) -> Any:
    subprocess.run(["fluxrun-no-such-program"], check=False)


def not_executable(programs: Programs) -> Any:
    subprocess.run([str(programs.closed)], check=False)


def missing_directory(programs: Programs) -> Any:
    subprocess.run(programs("true"), cwd=programs.folder / "nowhere", check=False)


def talk(process: Any) -> Any:
    said = []
    for line in ("one\n", "two\n"):
        process.stdin.write(line)
        process.stdin.flush()
        said.append(process.stdout.readline())
    process.stdin.close()
    return said, process.stdout.read(), process.wait()


def read_in_ways(process: Any) -> Any:
    return process.stdout.readline(), process.stdout.read(3), process.stdout.peek(1)[:1], process.stdout.read()


def end(process: Any) -> Any:
    said = process.stdout.readline(), process.poll(), process.returncode
    process.terminate()
    return said, process.wait(), process.poll(), process.returncode


def interrupt(process: Any) -> Any:
    first = process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    return first, process.stdout.read(), process.wait()


def broken_pipe(programs: Programs) -> Any:
    process = subprocess.Popen(script(programs, "exec true"), stdin=PIPE, bufsize=0)
    process.wait()
    try:
        process.stdin.write(b"too late")
    except BrokenPipeError as error:
        return error.errno, process.returncode
    finally:
        process.stdin.close()


def pipeline(programs: Programs) -> Any:
    first = subprocess.Popen(script(programs, "printf 'b\\na\\n'"), stdout=PIPE)
    second = subprocess.Popen(script(programs, "sort"), stdin=first.stdout, stdout=PIPE)
    first.stdout.close()
    said = second.communicate()
    return said, first.wait(), second.returncode


def in_a_thread(programs: Programs) -> Any:
    said: list[Any] = []

    def work() -> None:
        try:
            said.append(subprocess.check_output(script(programs, "echo threaded")))
        except UnrecordedCall:
            return

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return said


def two_readers(programs: Programs) -> Any:
    process = subprocess.Popen(script(programs, "echo out; echo err >&2"), stdout=PIPE, stderr=PIPE)
    said: dict[str, bytes] = {}

    def read(name: str) -> None:
        try:
            said[name] = getattr(process, name).read()
        except UnrecordedCall:
            return

    readers = [threading.Thread(target=read, args=(name,)) for name in ("stdout", "stderr")]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    code = process.wait()
    process.stdout.close()
    process.stderr.close()
    return said, code


def popen(programs: Programs) -> Any:
    with os.popen(f"{programs.path} echo popen") as lines:
        said = lines.read()
    closed = os.popen(f"{programs.path} sh -c 'exit 3'")
    closed.read()
    return said, closed.close()


def environment(programs: Programs) -> Any:
    env = {**os.environ, "SHOP_TOKEN": "t0ken", "LANG": "C"}
    return subprocess.check_output(script(programs, 'echo "$SHOP_TOKEN"'), env=env)


def twice(process: Any) -> Any:
    try:
        process.communicate(timeout=0.7)
    except subprocess.TimeoutExpired as error:
        return told(error), process.communicate(), process.returncode


def uuid_node() -> Any:
    return uuid._ip_getnode()


def line_by_line(process: Any) -> Any:
    return [line.rstrip() for line in process.stdout]


EXERCISES: dict[str, Exercise] = {
    "run": run("exit 0"),
    "captured output": run("echo out; echo err >&2", capture_output=True),
    "text": run("echo grün", capture_output=True, text=True, encoding="utf-8"),
    "universal newlines": run("printf 'a\\r\\nb\\n'", stdout=PIPE, universal_newlines=True),
    "input": run("cat", input=b"told", capture_output=True),
    "text input": run("cat", input="told\n", capture_output=True, text=True),
    "output and errors together": run("echo out; echo err >&2", stdout=PIPE, stderr=subprocess.STDOUT),
    "output thrown away": run("echo out", stdout=subprocess.DEVNULL),
    "large output": run("head -c 300000 /dev/zero", capture_output=True),
    "exit code": run("exit 7"),
    "ended by a signal": run("kill -9 $$"),
    "CalledProcessError": check,
    "check_call": lambda programs: subprocess.check_call(script(programs, "exit 0")),
    "call": lambda programs: subprocess.call(script(programs, "exit 4")),
    "check_output": lambda programs: subprocess.check_output(script(programs, "echo out")),
    "getstatusoutput": lambda programs: subprocess.getstatusoutput(f"{programs.path} echo out; exit 2"),
    "shell": lambda programs: subprocess.check_output(f"{programs.path} echo $((1+1))", shell=True),
    "own variables": environment,
    "directory": run("pwd", cwd="/", capture_output=True),
    "TimeoutExpired": timed_out,
    "program missing": missing,
    "program missing in PATH": missing_in_path,
    "not executable": not_executable,
    "directory missing": missing_directory,
    "Popen and communicate": opened(
        "cat; exit 2", lambda p: (p.communicate(b"x"), p.returncode), stdin=PIPE, stdout=PIPE
    ),
    "communicate again after a time-out": opened("echo a; sleep 1.4; echo b", twice, stdout=PIPE),
    "line by line": opened("echo one; echo two", line_by_line, stdout=PIPE),
    "line by line, text": opened("echo one; echo two", line_by_line, stdout=PIPE, text=True),
    "dialogue": opened(
        "while read l; do echo got $l; done; echo end", talk, stdin=PIPE, stdout=PIPE, text=True, bufsize=1
    ),
    "unbuffered": opened("echo one; echo two", lambda p: p.stdout.readall(), stdout=PIPE, bufsize=0),
    "reads of several sorts": opened("printf 'one\\nabcdef'", read_in_ways, stdout=PIPE),
    "wait and time-out": opened("echo up; exec sleep 20", wait_times_out, stdout=PIPE),
    "poll and terminate": opened("echo up; exec sleep 20", end, stdout=PIPE),
    "signal": opened("trap 'echo usr; exit 9' USR1; echo up; while :; do sleep 0.02; done", interrupt, stdout=PIPE),
    "write to a process that has ended": broken_pipe,
    "pipeline": pipeline,
    "two threads read": two_readers,
    "in a thread": in_a_thread,
    "os.popen": popen,
}


class TestSubprocess(BoundaryContract):
    subject = "subprocess"
    library = "python"
    boundary = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (threads,)
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset(
        {"program missing", "program missing in PATH", "not executable", "directory missing"}
    )


@pytest.fixture
def _seams() -> Iterator[None]:
    """Its seams, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(boundary.patches(subprocess))
    yield
    patching.restore_all()
    patching.install(others)


def in_run(function: Callable[[], Any]) -> tuple[Any, MemoryRecorder]:
    recorder = MemoryRecorder()
    with recorder.open():
        given = function()
    return given, recorder


def starts(recorder: MemoryRecorder) -> list[Any]:
    return [form for one in recorder.finish() if (form := decode(one.request))["command"] == "start"]


@pytest.mark.usefixtures("_seams")
@pytest.mark.parametrize(
    "look", [lambda: platform._syscmd_file(sys.executable), lambda: ctypes.util._findSoname_ldconfig("c"), uuid_node]
)
def test_what_the_standard_library_asks_programs_is_served(look: Callable[[], Any]) -> None:
    """`platform`, `ctypes.util` and `uuid` start programs that look at the machine; none runs at replay."""
    said, recorder = in_run(look)
    replayer = MemoryReplayer(recorder.finish())

    with replayer.open(), Fence() as fence:
        again = look()

    assert said == again
    assert fence.attempts == ()
    assert not any(PROCESS.is_effect(form) for form in starts(recorder))


@pytest.mark.usefixtures("_seams")
def test_played_process_does_not_trip_the_fence(outside: Programs) -> None:
    """The crossing comes before the audit event."""
    said, recorder = in_run(lambda: subprocess.check_output(script(outside, "echo out")))
    replayer = MemoryReplayer(recorder.finish())

    with replayer.open(), Fence() as fence:
        assert said == subprocess.check_output(script(outside, "echo out"))

    assert fence.attempts == ()


@pytest.mark.usefixtures("_seams")
def test_interpreter_and_temporary_directory_are_told_by_name() -> None:
    """They lie elsewhere on another machine."""
    with tempfile.NamedTemporaryFile() as file:
        _, recorder = in_run(
            lambda: subprocess.run([sys.executable, "-c", "pass", file.name], check=True, cwd="/usr/lib")
        )

    (form,) = starts(recorder)
    assert ["<python>", "-c", "pass", file.name.replace(tempfile.gettempdir(), "<tmp>", 1)] == form["argv"]
    assert ("lib", "python") == (form["cwd"], form["program"])


@pytest.mark.usefixtures("_seams")
def test_only_variables_of_its_own_are_told(outside: Programs) -> None:
    """What the program inherits is not part of the call."""
    _, recorder = in_run(lambda: environment(outside))

    (form,) = starts(recorder)
    assert {"SHOP_TOKEN": "t0ken", "LANG": "C"} == {**form["env"], "LANG": "C"}
    assert ("SHOP_TOKEN", "t0ken") in list(PROCESS.named_values(form, None))


@pytest.mark.usefixtures("_seams")
@pytest.mark.parametrize(
    "use",
    [
        lambda command, file: subprocess.run(command, stdout=file, check=True),
        lambda command, file: subprocess.run(command, pass_fds=[file.fileno()], check=True),
        lambda command, _: with_descriptor(command),
    ],
    ids=["output to a file", "descriptors passed", "a pipe's descriptor"],
)
def test_what_passes_the_pipes_by_is_refused_by_name(
    use: Callable[..., Any], outside: Programs, tmp_path: Path
) -> None:
    """A run that does so is unready; a replay says what it lacks."""
    with open(tmp_path / "out", "wb") as file:
        _, recorder = in_run(lambda: use(outside("echo", "out"), file))
        assert ["subprocess:descriptors"] == sorted(set(recorder.refused))

        with MemoryReplayer(recorder.finish()).open(), pytest.raises(UnrecordedCall, match="descriptor"):
            use(outside("echo", "out"), file)


def with_descriptor(command: list[str]) -> Any:
    with subprocess.Popen(command, stdout=PIPE) as process:
        return process.stdout.fileno()


@pytest.mark.usefixtures("_seams")
def test_process_from_before_the_run_is_left_alone(outside: Programs) -> None:
    """It belongs to the program, as a server's worker does."""
    process = subprocess.Popen(script(outside, "cat"), stdin=PIPE, stdout=PIPE)
    said, recorder = in_run(lambda: process.communicate(b"x"))

    assert ((b"x", None), []) == (said, recorder.finish())


@pytest.mark.usefixtures("_seams")
def test_played_process_outlives_its_replay_in_silence(outside: Programs) -> None:
    """What is asked of it later gives nothing and reaches nobody."""
    _, recorder = in_run(lambda: opened("echo out; cat", lambda p: p.kill(), stdin=PIPE, stdout=PIPE)(outside))
    outside.take_away()
    with MemoryReplayer(recorder.finish()).open():
        process = subprocess.Popen(script(outside, "echo out; cat"), stdin=PIPE, stdout=PIPE)

    process.kill()
    assert (b"", None, None) == (process.stdout.read(), process.poll(), process.wait())
    assert (None, None) == process.communicate()
