"""Which tests run in one process, where there are several: those that share a stack, else those of a file.

xdist's own groups (``--dist loadgroup``) have no effect in pytest 9.2: it does not read the name that xdist gives
a test of a group.
"""

from xdist.scheduler import LoadScopeScheduling

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.stack.environments.hosts import HOSTS

SHARED = {"tests/conformance/": FRAMEWORKS, "tests/integration/": tuple(HOSTS)}
"""Where tests share a stack of each framework or host, which is among a test's parameters."""


def group_of(nodeid: str) -> str:
    """The group of a test, by its whole name."""
    path, _, test = nodeid.partition("::")
    parameters = f"-{test.partition('[')[2].removesuffix(']')}-"
    for place, names in SHARED.items():
        for name in names:
            if path.startswith(place) and f"-{name}-" in parameters:
                return f"{place}{name}"
    return path


class ByStack(LoadScopeScheduling):
    """Hands whole groups to the processes."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
