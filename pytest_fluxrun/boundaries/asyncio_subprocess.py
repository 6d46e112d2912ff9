"""asyncio's subprocesses, uvloop's too: a start is an effect whose answer holds what the process said and when.

The seam is where a loop starts one; asyncio's streams and Process run for real above it. A replay starts none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.processes.asked import Child, ProcessLibrary, next_number, start_of
from pytest_fluxrun.boundaries.processes.pipes import DESCRIPTORS, passes_pipes_by
from pytest_fluxrun.boundaries.processes.transports import PlayedTransport, TeedProtocol
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing, current_lane
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["AsyncioSubprocess", "boundary"]

_PIPE: Final = -1
_STREAMS: Final = ("stdin", "stdout", "stderr")


class AsyncioSubprocess(ProcessLibrary):
    """`create_subprocess_exec`, `create_subprocess_shell`, and the methods of loops beneath them."""

    name: ClassVar[str] = "asyncio.subprocess"
    modules: ClassVar[tuple[str, ...]] = ("asyncio", "uvloop")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Both ways by which loops start processes."""
        loop = module.Loop if module.__name__ == "uvloop" else module.BaseEventLoop
        yield Patch(loop, "subprocess_exec", functools.partial(_starting, False))
        yield Patch(loop, "subprocess_shell", functools.partial(_starting, True))

    def weigh(self, result: dict[str, Any]) -> int:
        """What the process has said so far."""
        return sum(len(event[4]) for event in result.get("events", ()) if isinstance(event[4], bytes))


def _starting(shell: bool, original: Callable[..., Any]) -> Callable[..., Any]:  # noqa: FBT001 - a partial's
    @functools.wraps(original)
    async def start(self: Any, protocol_factory: Callable[[], Any], *command: Any, **options: Any) -> Any:
        session = crossing()
        if session is None:
            return await original(self, protocol_factory, *command, **options)
        request = start_of(
            session,
            command[0] if shell and command else command,
            shell=shell,
            cwd=options.get("cwd"),
            env=options.get("env"),
            executable=options.get("executable"),
        )
        if session.closed and not session.answers:
            return await _uncounted(session, request, lambda: original(self, protocol_factory, *command, **options))
        if not session.preamble and passes_pipes_by(options):
            session.uncovered(DESCRIPTORS)
        child, lane = Child(next_number(), request["program"]), current_lane()
        teed: list[TeedProtocol] = []

        def factory() -> TeedProtocol:
            teed.append(TeedProtocol(protocol_factory(), session, lane, boundary, child))
            return teed[0]

        async def live() -> dict[str, Any]:
            transport, _ = await original(self, factory, *command, **options)
            return {"pid": transport.get_pid(), "process": child.number, "events": teed[0].events}

        answer = await session.acall(boundary, Call(request), live)
        if teed:
            return teed[0].transport, teed[0].protocol
        return _play(self, protocol_factory, request, answer, options)

    return start


async def _uncounted(session: Any, request: Any, made: Callable[[], Any]) -> Any:
    """A process of no run: nothing of it is kept."""
    found: list[Any] = []

    async def live() -> dict[str, Any]:
        found.append(await made())
        return {}

    await session.acall(boundary, Call(request), live)
    return found[0]


def _play(loop: Any, protocol_factory: Callable[[], Any], request: Any, answer: Any, options: Any) -> Any:
    if "events" not in answer:
        raise UnrecordedCall(
            "the process was started by subprocess.Popen at recording, and is started by asyncio now",
            asked=boundary.kind.text(request),
            next_step="record the run again with the code as it is now",
        )
    protocol = protocol_factory()
    pipes = {fd for fd, name in enumerate(_STREAMS) if options.get(name, _PIPE) == _PIPE}
    child = Child(answer["process"], request["program"])
    transport = PlayedTransport(loop, protocol, (boundary, child), answer, pipes)
    transport.begin()
    return transport, protocol


boundary = AsyncioSubprocess()
