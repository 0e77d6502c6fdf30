"""The map from an agent's id to its definition and state.

``k8gentai agents update`` writes it (:mod:`k8gentai.agents.registry.check`), replacing it as a whole; servers and
workers read it, and read it again when it was replaced. It is kept in a file or elsewhere
(:mod:`k8gentai.agents.registry.store`).
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, ValidationError

from k8gentai.agents.registry.file_store import FileStore
from k8gentai.agents.registry.store import NoRegistryError, RegistryStore, Stored
from k8gentai.agents.resources.agent import AgentDefinition

_log = structlog.stdlib.get_logger(__name__)


class RegisteredAgent(BaseModel):
    """One agent as the last check found it."""

    id: str
    framework: str
    """The framework as the definition names it; empty where it names none."""
    version: str = ""
    """The framework's; empty where nobody came to look."""
    environment: str = ""
    """The name of the environment it was checked in, and runs in."""
    state: Literal["ready", "broken", "unused"]
    """``unused``: its framework is not in use here, so nobody looked at its code and nobody would run it."""
    error: str | None = None
    """The reasons why it is not ready: a line a fault, each beginning with its file and line where they are
    known."""
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
    """The parts of a request that it does not take: see :data:`k8gentai.agents.contract.turn.RequestPart`."""
    warnings: list[str] = []
    """Messages about parts that could not be checked, as where an MCP server did not answer."""
    not_used: str | None = None
    """The fields of its definition that nothing reads, a line a field: file, line and name; None where there is
    none."""
    definition: AgentDefinition | None = None
    """The definition; None where the file could not be read as one."""

    @property
    def pool(self) -> str:
        """The pool whose workers run it."""
        return (self.definition.spec.pool if self.definition else None) or self.framework


class Checked(BaseModel):
    """All that the last check of one framework's agents depended on, beside their definitions."""

    interpreter: str
    """The Python that it ran in."""
    adapter: str | None
    """The name of the adapter, ``module:Class``; None for one of ours."""
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
    """The map as it is kept."""

    version: Literal[1] = 1
    agents: list[RegisteredAgent]
    checked: dict[str, Checked] = {}
    """The checks of the frameworks' agents, by the framework."""
    agents_dir: str | None = None
    """The directory of the definitions; None where an earlier version wrote it."""


@dataclass(frozen=True)
class _Seen:
    """The map as it was read last, and the version that the store had for it."""

    version: object = None
    """The store's; None where it is to be read again."""
    written_at: float = 0.0
    kept: _Map = field(default_factory=lambda: _Map(agents=[]))
    agents: Mapping[str, RegisteredAgent] = field(default_factory=dict)
    """The agents of `kept`, by id."""
    trouble: str | None = None
    """The reason why the map could not be read when it was last looked at; None where it could."""


class Registry:
    """Reads the map. Looking an agent up costs one look at the store as long as that has the same map: of a file,
    one ``stat``. Threads may look at once.

    Args:
        kept: the store, or the JSON file.
        quiet: log nothing where it cannot be read, as for who says so from :meth:`trouble`.
    """

    def __init__(self, kept: RegistryStore | Path, *, quiet: bool = False) -> None:
        self._store = _store(kept)
        self._quiet = quiet
        self._seen = _Seen()
        """Replaced as a whole: a thread that comes while another one reads a map does not take the agents of the
        one before for the new ones."""

    def get(self, agent_id: str) -> RegisteredAgent | None:
        """Return the agent of that id, broken or not; None if there is none."""
        return self._current().agents.get(agent_id)

    def list(self) -> list[RegisteredAgent]:
        """Return all agents, in the order of their ids."""
        return list(self._current().agents.values())

    def checked(self) -> dict[str, Checked]:
        """Return what the last check depended on, by framework."""
        return self._current().kept.checked

    def agents_dir(self) -> Path | None:
        """Return the directory whose definitions were checked last; None where that is not known."""
        place = self._current().kept.agents_dir
        return Path(os.path.normpath((self._store.directory or Path("/")) / place)) if place else None

    def written_at(self) -> float:
        """Return when the map was written (Unix seconds); 0 while there is none."""
        return self._current().written_at

    def was_read(self) -> bool:
        """Return whether the map could be read; True while there is none."""
        return self.trouble() is None

    def trouble(self) -> str | None:
        """Return why the map cannot be read; None where it can, and while there is none."""
        return self._current().trouble

    def refresh(self) -> None:
        """Have the next look-up see what is kept now, where the store's copy may be older. It may take a while."""
        self._store.refresh()

    def version(self) -> object:
        """Return what changes whenever the map is replaced; None while there is none."""
        return self._current().version

    def _current(self) -> _Seen:
        """Return what is kept, read anew if the map was replaced. The agents of a moment ago stay while it cannot
        be read: they are better than none.
        """
        seen = self._seen
        try:
            stored = self._store.look(seen.version)
        except NoRegistryError:
            found = _Seen()
        except OSError as error:
            # What is back without a change is looked at again.
            found = replace(seen, version=None, trouble=str(error))
        else:
            found = seen if stored is None else _read(stored, seen)
        if found.trouble not in (None, seen.trouble) and not self._quiet:
            _log.warning("registry not read", place=self._store.name, error=found.trouble)
        self._seen = found
        return found


def _read(stored: Stored, before: _Seen) -> _Seen:
    try:
        kept = _Map.model_validate_json(stored.content)
    except ValidationError as error:
        return replace(before, version=stored.version, written_at=stored.written_at, trouble=_trouble(error))
    agents = {agent.id: agent for agent in kept.agents}
    return _Seen(stored.version, stored.written_at, kept, agents)


def _trouble(error: ValidationError) -> str:
    """Return in one line why what is kept is no map."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"it is no registry ({place}{': ' if place else ''}{fault['msg']})"


def write_registry(
    kept: RegistryStore | Path,
    agents: Iterable[RegisteredAgent],
    checked: Mapping[str, Checked] | None = None,
    agents_dir: Path | None = None,
    over: object = None,
) -> None:
    """Replace the map as a whole: a reader sees the old one or the new one.

    Args:
        kept: the store, or the JSON file.
        agents: all of them.
        checked: the files and packages that their check depended on, by framework.
        agents_dir: the directory of their definitions.
        over: the version of the map that these agents are to replace (:meth:`Registry.version`).

    Raises:
        OSError: it cannot be written, or is another than that by now where the store can tell; the old map stands.
    """
    store = _store(kept)
    ordered = sorted(agents, key=lambda agent: agent.id)
    place = _place(agents_dir, store.directory) if agents_dir else None
    made = _Map(agents=ordered, checked=dict(checked or {}), agents_dir=place)
    store.write(made.model_dump_json(by_alias=True, indent=1), over)


def _store(kept: RegistryStore | Path) -> RegistryStore:
    return FileStore(kept) if isinstance(kept, Path) else kept


def _place(agents_dir: Path, beside: Path | None) -> str:
    """Return how a directory is written down: in a project that is copied or moved, as its own."""
    here = agents_dir.absolute()
    if beside is None or not here.is_relative_to(Path.cwd()):
        return str(here)
    return os.path.relpath(here, beside.absolute())
