"""asyncio's subprocesses with real programs: what they are told and say, how they end; a replay starts none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_fluxrun.boundaries.asyncio import boundary as tasks
from pytest_fluxrun.boundaries.asyncio_subprocess import boundary
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.programs import Programs

PIPE, STDOUT = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT


@pytest.fixture
def outside(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def started(line: str, use: Callable[[Any], Awaitable[Any]], **options: Any) -> Callable[[Programs], Awaitable[Any]]:
    """A shell script's process."""

    async def exercise(programs: Programs) -> Any:
        process = await asyncio.create_subprocess_exec(*programs("/bin/sh", "-c", line), **options)
        return await use(process), process.returncode

    return exercise


async def communicate(process: Any) -> Any:
    return await process.communicate()


async def tell(process: Any) -> Any:
    return await process.communicate(b"told\n" * 3)


async def wait(process: Any) -> Any:
    return await process.wait()


async def lines(process: Any) -> Any:
    return [line async for line in process.stdout], await process.wait()


async def talk(process: Any) -> Any:
    said = []
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        await process.stdin.drain()
        said.append(await process.stdout.readline())
    process.stdin.close()
    await process.stdin.wait_closed()
    return said, await process.stdout.read(), await process.wait()


async def end(process: Any) -> Any:
    first = await process.stdout.readline()
    process.terminate()
    return first, process.returncode, await process.wait(), await process.stdout.read()


async def killed(process: Any) -> Any:
    first = await process.stdout.readline()
    process.kill()
    return first, await process.wait()


async def interrupt(process: Any) -> Any:
    first = await process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    return first, await process.stdout.read(), await process.wait()


async def timed_out(process: Any) -> Any:
    first = await process.stdout.readline()
    try:
        await asyncio.wait_for(process.wait(), 0.1)
    except TimeoutError:
        process.kill()
    return first, await process.wait()


async def gone(process: Any) -> Any:
    code = await process.wait()
    try:
        process.terminate()
    except ProcessLookupError as error:
        return code, type(error)


async def both(process: Any) -> Any:
    said = await asyncio.gather(process.stdout.read(), process.stderr.read())
    return said, await process.wait()


async def exactly(process: Any) -> Any:
    return (
        await process.stdout.readexactly(3),
        await process.stdout.readuntil(b";"),
        await process.stdout.read(2),
        await wait(process),
    )


async def shell(programs: Programs) -> Any:
    process = await asyncio.create_subprocess_shell(f"{programs.path} echo $((1 + 1))", stdout=PIPE)
    return await process.communicate(), process.returncode


async def missing(programs: Programs) -> Any:
    await asyncio.create_subprocess_exec(str(programs.folder / "nowhere"))


async def not_executable(programs: Programs) -> Any:
    await asyncio.create_subprocess_exec(str(programs.closed))


async def missing_directory(programs: Programs) -> Any:
    await asyncio.create_subprocess_exec(*programs("true"), cwd=programs.folder / "nowhere")


async def several(programs: Programs) -> Any:
    async def one(number: int) -> Any:
        process = await asyncio.create_subprocess_exec(*programs("echo", str(number)), stdout=PIPE)
        return await process.communicate()

    return await asyncio.gather(*(one(number) for number in range(3)))


async def environment(programs: Programs) -> Any:
    env = {**os.environ, "SHOP": "open"}
    process = await asyncio.create_subprocess_exec(*programs("/bin/sh", "-c", 'echo "$SHOP"'), env=env, stdout=PIPE)
    return await process.communicate()


class Collecting(asyncio.SubprocessProtocol):
    """A protocol of the app's own."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.done = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said.append((fd, data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.said.append((fd, exc))

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(exc)


async def own_protocol(programs: Programs) -> Any:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(Collecting, *programs("echo", "out"), stdin=None, stderr=None)
    await protocol.done
    transport.close()
    return protocol.said, transport.get_returncode(), transport.get_pipe_transport(0)


EXERCISES: dict[str, Exercise] = {
    "communicate": started("echo out; echo err >&2", communicate, stdout=PIPE, stderr=PIPE),
    "input": started("cat", tell, stdin=PIPE, stdout=PIPE),
    "output and errors together": started("echo out; echo err >&2", communicate, stdout=PIPE, stderr=STDOUT),
    "exit code": started("exit 7", wait),
    "line by line": started("echo one; echo two", lines, stdout=PIPE),
    "dialogue": started("while read l; do echo got $l; done; echo end", talk, stdin=PIPE, stdout=PIPE),
    "terminate": started("echo up; exec sleep 20", end, stdout=PIPE),
    "kill": started("echo up; exec sleep 20", killed, stdout=PIPE),
    "signal": started("trap 'echo usr; exit 9' USR1; echo up; while :; do sleep 0.02; done", interrupt, stdout=PIPE),
    "time-out": started("echo up; exec sleep 20", timed_out, stdout=PIPE),
    "signal to one that has ended": started("exit 0", gone),
    "both outputs at once": started("echo out; echo err >&2", both, stdout=PIPE, stderr=PIPE),
    "reads of several sorts": started("printf 'abcdef;gh'", exactly, stdout=PIPE),
    "large output": started("head -c 300000 /dev/zero", communicate, stdout=PIPE),
    "shell": shell,
    "own variables": environment,
    "directory": started("pwd", communicate, stdout=PIPE, cwd="/"),
    "several at once": several,
    "protocol of the app's": own_protocol,
    "program missing": missing,
    "not executable": not_executable,
    "directory missing": missing_directory,
}


class TestAsyncioSubprocess(BoundaryContract):
    subject = "asyncio.subprocess"
    library = "python"
    boundary = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (tasks,)
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset({"program missing", "not executable", "directory missing"})
