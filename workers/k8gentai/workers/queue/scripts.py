"""The atomic steps of a turn's life, as Lua scripts that Redis runs whole or not at all.

The scripts are the files in ``lua/``. Each is put behind ``lua/prelude.lua`` and the table of key names, so
that names stand in one place (:mod:`k8gentai.workers.queue.keys`). They name keys that they compute, which a Redis
Cluster does not allow: one primary (with its replicas) is required.
"""

import re
from functools import cache
from importlib.resources import files

from k8gentai.agents.contract.events import TurnCancelled
from k8gentai.workers.queue import keys

_COMMAND = re.compile(r"redis\.call\('([A-Z]+)'")
_KEY = re.compile(r"\bkeys\.(\w+)")
_CONTAINERS = {"XGROUP", "XINFO"}
"""Commands that are none without a second word."""


@cache
def script(name: str) -> str:
    """Return the text of ``lua/{name}.lua`` with all it needs in front of it.

    Raises:
        FileNotFoundError: there is no such script.
    """
    table = ", ".join(f"{name} = '{value}'" for name, value in keys.ALL.items())
    cancelled = TurnCancelled().model_dump_json()
    folder = files("k8gentai.workers.queue") / "lua"
    code = [(folder / f"{part}.lua").read_text() for part in ("prelude", name)]
    return "\n".join(
        [f"local keys = {{{table}}}", f"local events = {{cancelled = '{cancelled}'}}", _permitted(code), *code]
    )


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
