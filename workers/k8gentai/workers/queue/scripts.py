"""The atomic steps of a turn's life, as Lua scripts that Redis runs whole or not at all.

The scripts are the files in ``lua/``. Each is put behind ``lua/dispatch.lua``, ``lua/prelude.lua`` and the table
of key names, so that names stand in one place (:mod:`k8gentai.workers.queue.keys`). They name keys that they
compute: on a Redis Cluster all of them have to lie in one slot, which a hash tag in their prefix sees to.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from k8gentai.agents.contract.events import TurnCancelled
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.stored import EVENT_VERSION, JOURNAL_VERSION

_COMMAND = re.compile(r"redis\.call\('([A-Z]+)'")
_KEY = re.compile(r"\bkeys\.(\w+)")
_SHARED = ("dispatch", "prelude")
"""The files that stand before each script."""
_CONTAINERS = {"XGROUP", "XINFO"}
"""Commands that are none without a second word."""


def prepared(connection: Redis | AsyncRedis, name: str) -> Callable[..., Any]:
    """Return what runs a script.

    Args:
        connection: a client from :mod:`k8gentai.workers.queue.connection`.
        name: the script's.

    Returns:
        A function that takes the script's arguments by their names, None for one that there is none of, and behind
        ARGV's first what is too large to be one of them. It returns what Redis answers, awaitable where the client
        is asyncio's.
    """
    run: Any = connection.register_script(script(name))

    def call(*payload: str | bytes, **named: object) -> Any:
        # A Redis Cluster that no longer has the slot here sees by the key that it must not run the script.
        return run(keys=[keys.FINISHED], args=[_arguments(named), *payload])

    return call


def _arguments(named: dict[str, object]) -> str:
    """Return named arguments as scripts take them: JSON in which each value is a string."""
    texts = {name: "" if value is None else str(value) for name, value in named.items()}
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


@cache
def script(name: str) -> str:
    """Return the text of ``lua/{name}.lua`` with all it needs in front of it.

    Raises:
        FileNotFoundError: there is no such script.
    """
    table = ", ".join(f"{name} = '{value}'" for name, value in keys.ALL.items())
    cancelled = TurnCancelled().model_dump_json()
    folder = files("k8gentai.workers.queue") / "lua"
    code = [(folder / f"{part}.lua").read_text() for part in (*_SHARED, name)]
    known = [
        f"local keys = {{{table}}}",
        f"local events = {{cancelled = '{cancelled}'}}",
        f"local versions = {{event = {EVENT_VERSION}, journal = {JOURNAL_VERSION}}}",
    ]
    return "\n".join([*known, _permitted(code), *code])


def _permitted(code: list[str]) -> str:
    """Return Lua that ends a script before it has written anything, where a command or a key is denied to it.

    Redis undoes nothing of a script that fails in the middle. Redis 6 cannot be asked.
    """
    text = "\n".join(code)
    commands = sorted(set(_COMMAND.findall(text)) - _CONTAINERS)
    asked = [(command, keys.TURN) for command in commands]
    # All of them stand in the prelude, so each script has one that reads and writes, and one for channels.
    names = sorted({keys.ALL[name] for name in _KEY.findall(text)} - {keys.TURN})
    asked += [("PUBLISH" if name == keys.WORKER else "HINCRBY", name) for name in names if keys.is_key(name)]
    table = ", ".join(f"{{'{command}', '{key}'}}" for command, key in asked)
    return f"""if redis.acl_check_cmd then
  for _, asked in ipairs({{{table}}}) do
    if not redis.acl_check_cmd(asked[1], asked[2]) then
      return redis.error_reply("NOPERM The user may not run '" .. asked[1] .. "' on " .. asked[2])
    end
  end
end"""
