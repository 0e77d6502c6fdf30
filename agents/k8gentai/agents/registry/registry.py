"""The map from an agent's id to its definition and state.

``k8gentai agents update`` writes it (:mod:`k8gentai.agents.registry.check`), replacing the file as a whole;
servers and workers read it, and read it again when it was replaced.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, ValidationError

from k8gentai.agents.resources.agent import AgentDefinition

_log = structlog.stdlib.get_logger(__name__)


class RegisteredAgent(BaseModel):
    """One agent as the last check found it."""

    id: str
    framework: str
    """As the definition names it; empty where it names none."""
    version: str = ""
    """The framework's; empty where nobody came to look."""
    environment: str = ""
    """The name of the environment it was checked in, and runs in."""
    state: Literal["ready", "broken", "unused"]
    """``unused``: its framework is not in use here, so nobody looked at its code and nobody would run it."""
    error: str | None = None
    """Why it is not ready: a line a fault, each beginning with its file and line where they are known."""
    file: str
    """The YAML it was read from."""
    digest: str
    """Changes when the definition, as read with its environment variables, does, or one of the files."""
    files: dict[str, str] = {}
    """The files that its code is in, or that were read as it was loaded, each with its
    :func:`k8gentai.agents.code.fingerprint.fingerprint`."""
    tools: list[str] = []
    """The names of the tools that it was found to have, those that its servers name at run time aside."""
    refuses: list[str] = []
    """What it takes of no request: see :data:`k8gentai.agents.contract.turn.RequestPart`."""
    warnings: list[str] = []
    """What could not be checked, as an MCP server did not answer."""
    definition: AgentDefinition | None = None
    """None where the file could not be read as one."""


class Checked(BaseModel):
    """What the last check of one framework's agents depended on, beside their definitions."""

    interpreter: str
    """The Python that it ran in."""
    adapter: str | None
    """What names the adapter, where it is not among ours."""
    files: dict[str, str]
    """Paths, each with its :func:`k8gentai.agents.code.fingerprint.fingerprint`."""
    variables: dict[str, bool] | None = None
    """Variables of the environment that were looked up, each with whether it was set. None where an earlier
    version wrote it."""
    values: dict[str, str] | None = None
    """Variables that agents depend on, each with a digest of its value
    (:func:`k8gentai.agents.code.variables.digests_of`). None where an earlier version wrote it."""
    salt: str = ""
    """The digests'."""
    directory: str = ""
    """The working directory, from where modules are found."""


class _Map(BaseModel):
    """The file's content."""

    version: Literal[1] = 1
    agents: list[RegisteredAgent]
    checked: dict[str, Checked] = {}
    """By framework."""
    agents_dir: str | None = None
    """The directory of the definitions; None where an earlier version wrote it."""


class Registry:
    """Reads the map. Looking an agent up costs one ``stat`` as long as the file stays the same.

    Args:
        path: the JSON file. While its directory has none, there are no agents.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._written_at = 0.0
        self._trouble: str | None = None
        """Why the map could not be read when it was last looked at; None where it could."""
        self._agents: dict[str, RegisteredAgent] = {}
        self._checked: dict[str, Checked] = {}
        self._agents_dir: str | None = None

    def get(self, agent_id: str) -> RegisteredAgent | None:
        """Return the agent of that id, broken or not; None if there is none."""
        return self._current().get(agent_id)

    def list(self) -> list[RegisteredAgent]:
        """Return all agents, in the order of their ids."""
        return list(self._current().values())

    def checked(self) -> dict[str, Checked]:
        """Return what the last check depended on, by framework."""
        self._current()
        return self._checked

    def agents_dir(self) -> Path | None:
        """Return the directory whose definitions were checked last; None where that is not known."""
        self._current()
        return Path(os.path.normpath(self._path.parent / self._agents_dir)) if self._agents_dir else None

    def written_at(self) -> float:
        """Return when the map was written (Unix seconds); 0 while there is none."""
        self._current()
        return self._written_at

    def was_read(self) -> bool:
        """Return whether the map could be read; True while there is none."""
        self._current()
        return self._trouble is None

    def _current(self) -> dict[str, RegisteredAgent]:
        """Return the agents, read anew if the file was replaced. Those of a moment ago stay while it cannot be
        read: they are better than none.
        """
        try:
            status = self._path.stat()
            # The inode too: two replacements may fall into one tick of the file system's clock.
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._read(self._path.read_bytes())
                # As it was before reading: a file replaced meanwhile is read again by the next look-up.
                self._seen, self._written_at = seen, status.st_mtime
        except FileNotFoundError as error:
            if self._written_at and not self._path.parent.exists():
                # A volume may be mounted again.
                return self._keep(error)
            self._seen, self._written_at, self._agents, self._checked, self._trouble = None, 0.0, {}, {}, None
            self._agents_dir = None
        except OSError as error:
            return self._keep(error)
        return self._agents

    def _keep(self, error: OSError) -> dict[str, RegisteredAgent]:
        """Return the agents as they were. The file comes back without a change, so it is looked at again."""
        self._seen = None
        self._note(str(error))
        return self._agents

    def _read(self, content: bytes) -> None:
        try:
            read = _Map.model_validate_json(content)
        except ValidationError as error:
            self._note(str(error))
        else:
            self._trouble = None
            self._agents = {agent.id: agent for agent in read.agents}
            self._checked = read.checked
            self._agents_dir = read.agents_dir

    def _note(self, trouble: str) -> None:
        """Log why the map is not read, once until it is."""
        if trouble != self._trouble:
            _log.warning("registry not read", path=str(self._path), error=trouble)
        self._trouble = trouble


def write_registry(
    path: Path,
    agents: Iterable[RegisteredAgent],
    checked: Mapping[str, Checked] | None = None,
    agents_dir: Path | None = None,
) -> None:
    """Replace the map as a whole: a reader sees the old one or the new one.

    Args:
        path: the JSON file.
        agents: all of them.
        checked: what their check depended on, by framework.
        agents_dir: where their definitions are.

    Raises:
        OSError: the directory cannot be made or written to; the old map stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(agents, key=lambda agent: agent.id)
    place = _place(agents_dir, path.parent) if agents_dir else None
    made = _Map(agents=ordered, checked=dict(checked or {}), agents_dir=place)
    content = made.model_dump_json(by_alias=True, indent=1)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _place(agents_dir: Path, beside: Path) -> str:
    """Return how a directory is written down: in a project that is copied or moved, as its own."""
    here = agents_dir.absolute()
    return os.path.relpath(here, beside.absolute()) if here.is_relative_to(Path.cwd()) else str(here)
