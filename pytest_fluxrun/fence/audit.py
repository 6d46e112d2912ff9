"""The audit hook: connects, look-ups, processes, signals, file changes, database files. Idle while no fence is up.

An audit hook can't be removed, so it is installed at the first fence and never in production. Not watched: `ctypes`
(every import that uses it raises its events), reads, descriptors that are already open, and `os.mkfifo`/`os.mknod`,
which CPython doesn't audit.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from pytest_fluxrun.errors import LeakedCall
from pytest_fluxrun.fence import rules as switch
from pytest_fluxrun.fence.rules import Rules, is_harmless

__all__ = ["install_hook"]

_Check = Callable[[Rules, str, tuple[Any, ...]], None]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_installed = False


def install_hook() -> None:
    """Install the hook in this interpreter, once."""
    global _installed  # noqa: PLW0603 - an audit hook can't be asked for, nor removed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    rules = switch.up  # this line is all that an event costs outside a replay
    if rules is None:
        return
    check = _CHECKS.get(event)
    if check is not None:
        check(rules, event, args)


# -- network ---------------------------------------------------------------------------------------------------------


def _check_address(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
    sock, address = args[0], args[1]
    if is_harmless(sock.family) or rules.keeps(sock.fileno()):
        return
    if sock.family == socket.AF_UNIX:
        if address is None and sock.fileno() not in rules.killed:
            return
        if event == "socket.bind":
            if isinstance(address, (str, bytes)) and address[:1] not in ("\0", b"\0", "", b""):
                _check_path(rules, event, address, -1)
            return
    elif event == "socket.bind":
        return
    try:
        rules.refuse(event, _address_text(address))
    except LeakedCall:
        if event == "socket.connect":
            sock.close()  # create_connection closes it for an OSError only; a later test would be warned
        raise


def _address_text(address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:  # (host, port, ...)
        return f"{address[0]}:{address[1]}"
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    return "its peer" if address is None else f"unix:{address}".replace("\0", "@")


def _check_lookup(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
    host = args[0][0] if event == "socket.getnameinfo" else args[0]
    text = os.fsdecode(host) if isinstance(host, (str, bytes)) else ""
    if text in {"", "localhost"} or (event in {"socket.getaddrinfo", "socket.gethostbyname"} and _is_numeric(text)):
        return
    rules.refuse(event, text)


def _is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


# -- processes -------------------------------------------------------------------------------------------------------


def _check_program(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
    rules.refuse(event, _program(args[0]) if args else "")


def _program(command: Any) -> str:
    """A program's name alone: arguments may hold secrets."""
    if isinstance(command, (list, tuple)):
        command = command[0] if command else ""
    text = os.fsdecode(command) if isinstance(command, (str, bytes, os.PathLike)) else ""
    return os.path.basename(text.split(maxsplit=1)[0]) if text.strip() else ""


def _check_kill(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
    if args[1] != 0:
        rules.refuse(event, f"process {args[0]}")


# -- files -----------------------------------------------------------------------------------------------------------


def _check_open(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
    path, mode, flags = args[0], args[1], args[2]
    writing = flags & _WRITING if isinstance(flags, int) else isinstance(mode, str) and mode.strip("rbtU")
    if writing and not isinstance(path, int):
        _check_path(rules, event, path, -1)


def _file_event(*places: tuple[int, int]) -> _Check:
    """A check of each (index of a path, index of its dir_fd or -1) among an event's arguments."""

    def check(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
        for path_at, directory_at in places:
            directory = args[directory_at] if 0 <= directory_at < len(args) else -1
            _check_path(rules, event, args[path_at], directory if isinstance(directory, int) else -1)

    return check


def _check_path(rules: Rules, event: str, path: Any, directory: int) -> None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    absolute = _absolute(os.fsdecode(path), directory, follow=event in {"open", "sqlite3.connect"})
    if rules.writable.allows(absolute) or (event == "os.mkdir" and os.path.isdir(absolute)):
        return
    rules.refuse("file write" if event == "open" else event, absolute)


def _absolute(path: str, directory: int, *, follow: bool) -> str:
    if directory >= 0 and not os.path.isabs(path):
        path = os.path.join(_directory_path(directory), path)
    if follow:
        return os.path.realpath(path)
    parent, name = os.path.split(path.rstrip(os.sep) or os.sep)
    return os.path.join(os.path.realpath(parent or os.curdir), name)


def _directory_path(descriptor: int) -> str:
    """The directory behind a descriptor, or the current one where the system can't tell."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return os.getcwd()


def _check_database(rules: Rules, event: str, args: tuple[Any, ...]) -> None:
    name = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
    if name in {"", ":memory:"} or (name.startswith("file:") and (":memory:" in name or "mode=memory" in name)):
        return
    path = os.path.realpath(name.removeprefix("file:").partition("?")[0])
    if not rules.writable.allows_database(path):
        rules.refuse(event, path)


def _check_announced(rules: Rules, _: str, args: tuple[Any, ...]) -> None:
    """What a boundary is about to let C code do, which raises no event of its own."""
    rules.refuse(args[0], args[1])


_CHECKS: dict[str, _Check] = {
    "open": _check_open,
    "sqlite3.connect": _check_database,
    "fluxrun.live": _check_announced,
    **dict.fromkeys(("socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto"), _check_address),
    **dict.fromkeys(
        ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"), _check_lookup
    ),
    **dict.fromkeys(
        ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.startfile", "os.system", "pty.spawn"), _check_program
    ),
    **dict.fromkeys(("subprocess.Popen", "webbrowser.open"), _check_program),
    "os.spawn": lambda rules, event, args: _check_program(rules, event, args[1:]),
    **dict.fromkeys(("os.kill", "os.killpg"), _check_kill),
    **dict.fromkeys(("os.remove", "os.rmdir"), _file_event((0, 1))),
    **dict.fromkeys(("os.chmod", "os.mkdir"), _file_event((0, 2))),
    **dict.fromkeys(("os.chown", "os.utime"), _file_event((0, 3))),
    **dict.fromkeys(("os.chflags", "os.removexattr", "os.setxattr", "os.truncate"), _file_event((0, -1))),
    "os.rename": _file_event((0, 2), (1, 3)),
    "os.link": _file_event((1, 3)),
    "os.symlink": _file_event((1, 2)),
}
