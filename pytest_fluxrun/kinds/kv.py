"""The kind kv: how commands to a key-value store are compared, shown and searched, whatever the client. Pure; no I/O.

A request is `{"database": name, "which": number, "command": [name, *arguments]}`, arguments as text where they are
UTF-8, else as bytes; of several that are sent at once `"commands"` in the place of `"command"`. Two more have no
command: `"receive"`, what a connection is subscribed to, and `"control"`, e.g. CONNECT. Compared are the commands, byte
by byte, and `which`: the databases that a run uses, numbered. A database's name isn't: it says where the code runs.
`again` marks a connection that was used before, `rest` reading beyond the recorded replies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.kinds.key_values import parts_of, readable, said_by
from pytest_fluxrun.kinds.pickles import told_by_pickle
from pytest_fluxrun.kinds.structure import ABSENT, structural_differences
from pytest_fluxrun.values import decode

__all__ = ["KV", "Kv", "name_of"]

_MAX_TEXT: Final = 200
_MAX_ARGUMENT: Final = 80
_MAX_CANONICAL: Final = 512
_COMPARED: Final = ("which", "control", "again", "rest")
_BRACKETS: Final = frozenset({"MULTI", "EXEC"})

# Keeps to the commands of Redis 8 and its modules; what isn't listed is an effect.
_READS: Final = frozenset(
    """
    GET MGET GETRANGE SUBSTR STRLEN LCS EXISTS TYPE TTL PTTL EXPIRETIME PEXPIRETIME KEYS SCAN RANDOMKEY DUMP OBJECT
    SORT_RO HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD HTTL HPTTL HEXPIRETIME HPEXPIRETIME
    LRANGE LINDEX LLEN LPOS SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SINTER SUNION SDIFF SINTERCARD SSCAN
    ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZREVRANGE ZREVRANGEBYSCORE ZREVRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT ZLEXCOUNT
    ZRANK ZREVRANK ZSCAN ZRANDMEMBER ZINTER ZUNION ZDIFF ZINTERCARD XRANGE XREVRANGE XLEN XREAD XINFO XPENDING
    GETBIT BITCOUNT BITPOS BITFIELD_RO PFCOUNT GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO
    EVAL_RO EVALSHA_RO FCALL_RO PING ECHO TIME INFO DBSIZE COMMAND ROLE LASTSAVE LOLWUT PUBSUB WAIT WAITAOF
    AUTH HELLO SELECT READONLY READWRITE ASKING WATCH UNWATCH MULTI EXEC DISCARD QUIT RESET MONITOR
    SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE
    VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VSIM
    JSON.GET JSON.MGET JSON.TYPE JSON.STRLEN JSON.ARRLEN JSON.ARRINDEX JSON.OBJKEYS JSON.OBJLEN JSON.RESP
    FT.SEARCH FT.AGGREGATE FT.INFO FT.EXPLAIN FT.PROFILE FT._LIST FT.TAGVALS FT.SPELLCHECK FT.SUGGET FT.SUGLEN FT.HYBRID
    TS.GET TS.MGET TS.RANGE TS.REVRANGE TS.MRANGE TS.MREVRANGE TS.INFO TS.QUERYINDEX
    BF.EXISTS BF.MEXISTS BF.INFO BF.CARD CF.EXISTS CF.MEXISTS CF.COUNT CF.INFO CMS.QUERY CMS.INFO TOPK.QUERY TOPK.LIST
    TOPK.COUNT TOPK.INFO TDIGEST.QUANTILE TDIGEST.CDF TDIGEST.MIN TDIGEST.MAX TDIGEST.INFO TDIGEST.RANK
    """.split()  # noqa: SIM905 - a list of words reads better
)
_READS_OF: Final = {
    "ACL": frozenset({"WHOAMI", "LIST", "USERS", "GETUSER", "CAT", "GENPASS", "DRYRUN", "LOG"}),
    "CLIENT": frozenset(
        {"GETNAME", "ID", "INFO", "LIST", "GETREDIR", "TRACKINGINFO", "SETINFO", "SETNAME", "TRACKING", "CACHING"}
    ),
    "CLUSTER": frozenset(
        """
        INFO SLOTS SHARDS NODES LINKS KEYSLOT COUNTKEYSINSLOT GETKEYSINSLOT MYID MYSHARDID REPLICAS SLAVES
        COUNT-FAILURE-REPORTS
        """.split()  # noqa: SIM905 - as above
    ),
    "CONFIG": frozenset({"GET"}),
    "FUNCTION": frozenset({"LIST", "STATS", "DUMP"}),
    "LATENCY": frozenset({"DOCTOR", "GRAPH", "HISTORY", "LATEST", "HISTOGRAM"}),
    "MEMORY": frozenset({"USAGE", "STATS", "DOCTOR", "MALLOC-STATS"}),
    "MODULE": frozenset({"LIST"}),
    "SCRIPT": frozenset({"EXISTS"}),
    "SENTINEL": frozenset(
        {"MASTERS", "MASTER", "SLAVES", "REPLICAS", "SENTINELS", "GET-MASTER-ADDR-BY-NAME", "CKQUORUM", "MYID"}
    ),
    "SLOWLOG": frozenset({"GET", "LEN"}),
}
"""Commands with subcommands, of which some read."""
_STORING: Final = {
    "SORT": frozenset({"STORE"}),
    "GEORADIUS": frozenset({"STORE", "STOREDIST"}),
    "GEORADIUSBYMEMBER": frozenset({"STORE", "STOREDIST"}),
}
"""Reads unless an option stores what was found."""


class Kv(Kind):
    """Commands to key-value stores, and messages from their channels."""

    name: ClassVar[str] = "kv"

    def canonical(self, request: Request) -> str:
        """Equal for the same commands of the same database of the run, every argument byte by byte but of pickles."""
        asked = repr(request["receive"] if "receive" in request else [_told(one) for one in _commands(request)])
        if len(asked) > _MAX_CANONICAL:
            asked = hashlib.blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        where = "\n".join(str(request.get(part, "")) for part in _COMPARED)
        return f"{'receive' if 'receive' in request else ''}\n{where}\n{asked}"

    def operation(self, request: Request) -> str:
        """The names of the commands; reading on in their replies is an operation of its own."""
        if "control" in request:
            return str(request["control"])
        if "receive" in request:
            return "RECEIVE"
        names = [name_of(command) for command in _commands(request)]
        operation = names[0] if "command" in request else f"PIPELINE {' '.join(names)}"
        return f"READ ON {operation}" if "rest" in request else operation

    def is_effect(self, request: Request) -> bool:
        """Whether one of the commands may write; what isn't known to read counts as writing."""
        return "rest" not in request and not all(_reads(command) for command in _commands(request))

    def may_repeat(self, request: Request) -> bool:
        """Not a message, nor what waits for the next entry of a stream, nor a connection: each is another one."""
        if "receive" in request or "control" in request:
            return False
        return not any(name_of(command) == "XREAD" and "$" in command for command in _commands(request))

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """The database and the name, then key, fields and value: by path where both values are JSON."""
        found: list[Difference] = []
        for part in (*_COMPARED, "receive"):
            found += structural_differences(f"request.{part}", recorded.get(part, ABSENT), asked.get(part, ABSENT))
        if "command" in recorded and "command" in asked:
            return [*found, *_differences("request", _told(recorded["command"]), _told(asked["command"]))]
        old, new = ([_told(command) for command in _commands(one)] for one in (recorded, asked))
        for index in range(max(len(old), len(new))):
            path = f"request.commands[{index}]"
            if index < len(old) and index < len(new):
                found += _differences(path, old[index], new[index])
            else:
                before, now = (_brief(one[index]) if index < len(one) else ABSENT for one in (old, new))
                found.append(Difference(path, before, now))
        return found

    def text(self, request: Request) -> str:
        """`SET order:1 {"total": 7}`, `PIPELINE SET a … GET b (40 commands)`; at most 200 characters."""
        if "control" in request:
            text = f"{request['control']} {request['database']}"
        elif "receive" in request:
            text = f"RECEIVE {', '.join(map(readable, request['receive']))}"
        elif "command" in request:
            text = " ".join(map(readable, request["command"]))
        else:
            text = _pipeline_text(_commands(request))
        if "rest" in request:
            text = f"{text[: _MAX_TEXT - 60]} ({request['rest']})"
        text = " ".join(text.split())
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def address(self, request: Request) -> str:
        """The server and its database."""
        return str(request["database"])

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """Values by the last part of their key, by hash field, and by JSON key: of what was sent and what came."""
        commands = _commands(request)
        for command in commands:
            yield from said_by(command, None)
        if isinstance(answer, dict) and "replies" in answer:
            try:
                replies = decode(answer["replies"])
            except FluxRunError:
                return
            yield from _answered(commands, replies)


KV = Kv()


def name_of(command: list[Any]) -> str:
    """A command's name, upper-case, with its subcommand where it has those: `CONFIG GET`."""
    name = _upper(command[0])
    if len(command) > 1 and (name in _READS_OF or name in {"XGROUP", "XINFO", "OBJECT", "PUBSUB"}):
        return f"{name} {_upper(command[1])}"
    return name


def _told(command: list[Any]) -> list[Any]:
    """A command with what its pickles say in their place: caches of Django and others hold little else."""
    return [told_by_pickle(part) or part if isinstance(part, bytes) else part for part in command]


def _upper(part: Any) -> str:
    return (part if isinstance(part, str) else repr(part)).upper()


def _commands(request: Request) -> list[list[Any]]:
    if "commands" in request:
        return list(request["commands"])
    return [request["command"]] if "command" in request else []


def _reads(command: list[Any]) -> bool:
    name = _upper(command[0])
    if name in _READS_OF:
        return len(command) > 1 and _upper(command[1]) in _READS_OF[name]
    if name in _STORING:
        return not any(isinstance(part, str) and part.upper() in _STORING[name] for part in command[2:])
    return name in _READS


def _differences(path: str, recorded: list[Any], asked: list[Any]) -> Iterator[Difference]:
    old, new = name_of(recorded), name_of(asked)
    if old != new:
        yield Difference(f"{path}.name", old, new)
    else:
        yield from structural_differences(path, parts_of(recorded), parts_of(asked))
    if old == new and recorded != asked and parts_of(recorded) == parts_of(asked):
        yield Difference(path, _brief(recorded), _brief(asked))


def _brief(command: list[Any]) -> str:
    return " ".join([name_of(command), *map(readable, command[1 + name_of(command).count(" ") :][:1])])


def _pipeline_text(commands: list[list[Any]]) -> str:
    """The first and the last command by name and key, and how many there are."""
    inner = [command for command in commands if _upper(command[0]) not in _BRACKETS]
    sort = "PIPELINE" if len(inner) == len(commands) else "TRANSACTION"
    ends = inner[:1] + inner[-1:] if len(inner) > 1 else inner
    shown = " … ".join(_brief(command)[:_MAX_ARGUMENT] for command in ends)
    return f"{sort} {shown} ({len(inner)} command{'' if len(inner) == 1 else 's'})"


def _answered(commands: list[list[Any]], replies: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(replies, list):
        return
    if len(replies) == len(commands):
        for command, reply in zip(commands, replies, strict=True):
            yield from said_by(command, reply)
    queued = replies[-1] if replies and isinstance(replies[-1], list) else []
    inner = [command for command in commands if _upper(command[0]) not in _BRACKETS]
    if len(inner) < len(commands) and len(queued) == len(inner):
        for command, reply in zip(inner, queued, strict=True):
            yield from said_by(command, reply)
    if not commands:
        for reply in replies:
            yield from said_by(["RECEIVE"], reply)
