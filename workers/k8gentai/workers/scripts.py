"""The atomic steps of a turn's life, as Lua scripts that Redis runs whole or not at all.

The scripts are the files in ``lua/``. Each is put behind ``lua/prelude.lua`` and the table of key names, so
that names stand in one place (:mod:`k8gentai.workers.keys`). They name keys that they compute, which a Redis
Cluster does not allow: one primary (with its replicas) is required.
"""

import re
from functools import cache
from importlib.resources import files

from k8gentai.agents.events import TurnCancelled
from k8gentai.workers import keys

_COMMAND = re.compile(r"redis\.call\('([A-Z]+)'")
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
    folder = files("k8gentai.workers") / "lua"
    code = [(folder / f"{part}.lua").read_text() for part in ("prelude", name)]
    return "\n".join(
        [f"local keys = {{{table}}}", f"local events = {{cancelled = '{cancelled}'}}", _permitted(code), *code]
    )


def _permitted(code: list[str]) -> str:
    """Lua that ends a script before it has written anything, where it may not run one of its commands.

    Redis undoes nothing of a script that fails in the middle. Redis 6 cannot be asked.
    """
    commands = sorted(set(_COMMAND.findall("\n".join(code))) - _CONTAINERS)
    names = ", ".join(f"'{command}'" for command in commands)
    return f"""if redis.acl_check_cmd then
  for _, command in ipairs({{{names}}}) do
    if not redis.acl_check_cmd(command, keys.turn) then
      return redis.error_reply("NOPERM The user may not run '" .. command .. "' on " .. keys.turn)
    end
  end
end"""
