"""``python -m tests.support.unfenced worker …``: the ``k8gentai`` command with a worker whose fence is broken.

Its Lua scripts have lost every line that refuses a write, or tells of a lost lease, so that a test sees what the
drill makes of such a worker.
"""

from functools import cache

from k8gentai.stack.commands.cli import app
from k8gentai.workers.queue import scripts

_FENCE = ("'fenced'", "lost[#lost + 1]")
_whole = scripts.script


@cache
def _script(name: str) -> str:
    return "\n".join(line for line in _whole(name).splitlines() if not any(word in line for word in _FENCE))


scripts.script = _script

if __name__ == "__main__":
    app()
