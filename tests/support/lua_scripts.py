"""Reads what the queue's Lua scripts do to Redis: which keys and fields they name, which function calls which.

It knows the scripts' own way of writing: a function at the top ends with the first ``end`` on a line of its own,
keys are put together of ``keys``, and a variable holds keys of the kind that it is given. A key that cannot be
made out is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

WRITES = {
    "hash": {"HSET", "HSETNX", "HINCRBY", "HDEL"},
    "stream": {"XADD", "XDEL", "XACK", "XGROUP"},
    "sorted set": {"ZADD", "ZREM", "ZREMRANGEBYSCORE"},
    "set": {"SADD", "SREM", "SMOVE"},
    "list": {"LPUSH", "RPUSH", "LPOP", "LREM"},
    "string": {"SET", "INCR"},
    "channel": {"PUBLISH"},
}
"""Commands that write, by the type of what they write; those of all types are EXPIRE, PERSIST, COPY and DEL."""

_ENDS = {
    *("EXPIRE", "PERSIST", "DEL", "HDEL", "XDEL", "XACK", "XGROUP"),
    *("ZREM", "ZREMRANGEBYSCORE", "SREM", "SMOVE", "LPOP", "LREM"),
}
"""Commands that take something away, or set or lift its end."""
_BOTH = {"SMOVE"}
_READS = {
    "hash": {"HGET", "HMGET"},
    "stream": {"XRANGE", "XINFO"},
    "sorted set": {"ZRANGE", "ZRANGEBYSCORE", "ZSCORE"},
    "set": {"SMEMBERS", "SCARD", "SRANDMEMBER"},
    "list": {"LRANGE", "LINDEX", "LLEN"},
    "string": {"GET"},
}
TYPES = {command: kind for table in (WRITES, _READS) for kind, commands in table.items() for command in commands}
"""The type that a command is for."""

SHARED = ("dispatch", "prelude")
"""The files that stand before each script."""
_TURNS = {"turn": ["turn"], "of": ["turn"], "from": ["turn"], "to": ["turn"]}
"""Functions' parameters, each a turn's key."""
_KINDS = ("model", "tool", "effect")
"""The kinds of journal entries that ``lua/record.lua`` counts."""


class Access(NamedTuple):
    """A command on a key."""

    command: str
    key: str
    """The key's name in ``keys``; the last one, where it is put together of several."""
    fields: tuple[str, ...]
    """The fields that it names; ``*`` for any, where they are data."""

    def puts(self, field: str | None) -> bool:
        """Return whether it puts something there, or changes it: into a field, or at all."""
        writes = self.command == "COPY" or any(self.command in commands for commands in WRITES.values())
        puts = writes and (self.command not in _ENDS or self.command in _BOTH)
        return puts and (field is None or not {field, "*"}.isdisjoint(self.fields))

    def ends(self, field: str | None) -> bool:
        """Return whether it takes something away, or says when that ends: a field, or the whole.

        A hash whose fields are declared is whole without one of them.
        """
        if field is None:
            return self.command in _ENDS and (self.command != "HDEL" or "*" in self.fields)
        return self.command in _ENDS and field in self.fields


@dataclass
class Function:
    """A function, or what of a file stands in none."""

    calls: set[str] = field(default_factory=set)
    accesses: list[Access] = field(default_factory=list)


def names() -> list[str]:
    """Return the scripts there are, without the files that stand before each."""
    return sorted({path.name.removesuffix(".lua") for path in _folder().iterdir()} - {*SHARED})


def summary(script: str) -> str:
    """Return the first sentence of a script's comment."""
    lines = (_folder() / f"{script}.lua").read_text().split("\n")
    comment = " ".join(line.removeprefix("-- ") for line in lines[: _first(lines)])
    return re.split(r"(?<=[.]) ", comment)[0]


def key_names() -> set[str]:
    """Return the names of ``keys`` that scripts use."""
    return {name for path in _folder().iterdir() for name in re.findall(r"\bkeys\.(\w+)", path.read_text())}


@cache
def accesses(script: str) -> frozenset[Access]:
    """Return what a script does, in functions of the prelude too."""
    functions = {name: found for part in (*SHARED, script) for name, found in _functions(part).items()}
    todo, seen = [""], set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += functions[name].calls & functions.keys()
    return frozenset(access for name in seen for access in functions[name].accesses)


def _folder() -> Traversable:
    return files("k8gentai.workers.queue") / "lua"


def _first(lines: list[str]) -> int:
    return next(at for at, line in enumerate(lines) if not line.startswith("--") or line.startswith("-- ARGV"))


@cache
def _functions(script: str) -> dict[str, Function]:
    """Return a file's functions by their names, and under no name what stands in none."""
    text = re.sub(r"--.*", "", (_folder() / f"{script}.lua").read_text())
    found: dict[str, Function] = {"": Function()}
    bodies: dict[str, list[str]] = {"": []}
    inside = ""
    for line in text.split("\n"):
        if begins := re.match(r"(?:local function (\w+)|(\w+) = function)\(", line):
            inside = begins[1] or begins[2]
        bodies.setdefault(inside, []).append(line)
        if line == "end":
            inside = ""
    of_file = _variables("\n".join(bodies[""]), dict(_TURNS))
    for name, lines in bodies.items():
        body = "\n".join(lines)
        known = _variables(body, dict(of_file))
        calls = set(re.findall(r"(?<![.\w])(\w+)\(", body)) - {name}
        found[name] = Function(calls, [access for call in _calls(body) for access in accessed(call, known)])
    return found


def _variables(body: str, known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the variables that hold keys, with those already known."""
    for left, right in re.findall(r"^\s*local ([\w, ]+) = (.+)$", body, re.M):
        for variable, value in zip(left.split(", "), _split(right, ","), strict=False):
            if resolved := _resolve(value, known):
                known[variable] = resolved
            elif "'idempotency')" in value:
                known[variable] = ["idempotency"]
    for variable, values in re.findall(r"for _, (\w+) in ipairs\(\{(.+)\}\)", body):
        known[variable] = [name for value in _split(values, ",") for name in _resolve(value, known) or [""]]
    return known


def _resolve(expression: str, known: dict[str, list[str]]) -> list[str]:
    """Return the names of the keys that an expression may be; none where it is no key.

    Raises:
        ValueError: it is a key, and spells out a part of it.
    """
    parts = [part.strip() for part in _split(expression, "..")]
    if parts[0].startswith("registries"):
        return ["rq_finished", "rq_failed", "rq_canceled"]
    named = [[part.removeprefix("keys.")] if part.startswith("keys.") else known.get(part, []) for part in parts]
    if not named[0]:
        return []
    if any(part.startswith("'") and part != "':'" for part in parts):
        raise ValueError(f"a part of a key that is none of `keys`: {expression}")
    last = [names for names in named if names][-1]
    return [name or named[0][0] for name in last]


def _calls(body: str) -> Iterator[list[str]]:
    """Yield the arguments of each ``redis.call``."""
    for begins in re.finditer(r"redis\.call\(", body):
        yield [part.strip() for part in _split(_until_closed(body[begins.end() :]), ",")]


def accessed(arguments: list[str], known: dict[str, list[str]]) -> Iterator[Access]:
    """Yield what a ``redis.call`` does.

    Args:
        arguments: as they are written.
        known: the variables that hold keys, with the names of these.

    Raises:
        ValueError: it is on a key that is none of ``keys``, or has a part that is none.
    """
    command, rest = arguments[0], arguments[1:]
    if command == "'TIME'":
        return
    # `push` and `requeue` say at which end of the queue.
    command = "LPUSH" if command == "where" else command.strip("'")
    if command in {"XGROUP", "XINFO"}:
        rest = rest[1:]
    targets = rest[:2] if command in {"COPY", "SMOVE"} else rest[: None if command == "DEL" else 1]
    for target in targets:
        resolved = _resolve(target, known)
        if not resolved and command not in {"EXISTS", "HGET"}:
            raise ValueError(f"which key is {target!r} in redis.call({', '.join(arguments)})?")
        for key in resolved:
            yield Access(command, key, tuple(_fields(command, rest[1:])))
            if "'EX'" in rest:
                yield Access("EXPIRE", key, ())


def _fields(command: str, values: list[str]) -> Iterator[str]:
    if command in {"HSET", "XADD"}:
        values = (values[1:] if command == "XADD" else values)[::2]
    elif command in {"HSETNX", "HINCRBY", "HGET"}:
        values = values[:1]
    elif command not in {"HMGET", "HDEL"}:
        return
    for value in values:
        if counted := re.fullmatch(r"kind \.\. '(\w+)'", value):
            yield from (kind + counted[1] for kind in _KINDS)
        else:
            yield value.strip("'") if value.startswith("'") else "*"


def _until_closed(text: str) -> str:
    depth = 1
    for at, char in enumerate(text):
        depth += (char in "({[") - (char in ")}]")
        if depth == 0:
            return text[:at]
    raise ValueError(f"unclosed: {text[:80]}")


def _split(text: str, separator: str) -> list[str]:
    """Split where no bracket and no quotation is open."""
    parts, depth, quoted, begun, at = [], 0, False, 0, 0
    while at < len(text):
        quoted ^= text[at] == "'"
        depth += 0 if quoted else (text[at] in "({[") - (text[at] in ")}]")
        if not quoted and depth == 0 and text.startswith(separator, at):
            parts.append(text[begun:at].strip())
            at += len(separator)
            begun = at
        else:
            at += 1
    return [*parts, text[begun:].strip()]
