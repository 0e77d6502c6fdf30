"""The atomic steps of a turn's life, as Lua scripts that Redis runs whole or not at all.

The scripts are the files in ``lua/``. Each is put behind ``lua/prelude.lua`` and the table of key names, so
that names stand in one place (:mod:`k8gentai.workers.keys`). They name keys that they compute, which a Redis
Cluster does not allow: one primary (with its replicas) is required.
"""

from functools import cache
from importlib.resources import files

from k8gentai.agents.events import TurnCancelled
from k8gentai.workers import keys


@cache
def script(name: str) -> str:
    """The text of ``lua/{name}.lua`` with all it needs in front of it.

    Raises:
        FileNotFoundError: there is no such script.
    """
    table = ", ".join(f"{name} = '{value}'" for name, value in keys.ALL.items())
    cancelled = TurnCancelled().model_dump_json()
    folder = files("k8gentai.workers") / "lua"
    code = [(folder / f"{part}.lua").read_text() for part in ("prelude", name)]
    return "\n".join([f"local keys = {{{table}}}", f"local events = {{cancelled = '{cancelled}'}}", *code])
