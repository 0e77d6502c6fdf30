"""The files that the code of a worker's agents is in, as they were when this process loaded it.

Code that was loaded cannot be loaded anew with all that took something from it: other code is for another process.
"""

from k8gentai.agents.code.fingerprint import CHANGED, fingerprint
from k8gentai.agents.registry.registry import RegisteredAgent


class LoadedCode:
    """Remembers the files."""

    def __init__(self) -> None:
        self._fingerprints: dict[str, str] = {}
        """By path."""
        self._agents: dict[str, frozenset[str]] = {}
        """The paths of each agent, when it was first loaded."""

    def note(self, agent: RegisteredAgent) -> None:
        """Note the files of an agent that is about to be loaded."""
        for path in agent.files:
            self._fingerprints.setdefault(path, fingerprint(path))
        self._agents.setdefault(agent.id, frozenset(agent.files))

    def changed(self, agent: RegisteredAgent) -> list[str]:
        """Return the paths of an agent's files that this process has otherwise than they were registered, or never
        loaded while it loaded the agent, and of which another process would have something else than this one.
        """
        known = self._agents.get(agent.id)
        # Other agents may have brought some modules of one that was not loaded.
        paths = agent.files.keys() & self._fingerprints.keys() if known is None else known | agent.files.keys()
        return sorted(path for path in paths if self._is_other(path, agent.files.get(path, "")))

    def _is_other(self, path: str, registered: str) -> bool:
        loaded, content = self._fingerprints.get(path, ""), registered.removeprefix(CHANGED)
        if content == loaded:
            return False
        now = fingerprint(path)
        # What is written whenever it is loaded, and not as it was registered, would have each process replaced.
        return now != loaded and (content == registered or now == content)
