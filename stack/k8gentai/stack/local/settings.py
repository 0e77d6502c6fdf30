"""The settings of the command: the environment variables that it reads, and their defaults."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from k8gentai.agents.registry.registry import Registry
from k8gentai.agents.registry.store import RegistryStore
from k8gentai.agents.text.http_address import is_http_address
from k8gentai.stack.environments.frameworks import frameworks_here
from k8gentai.stack.environments.installed import PRODUCT, SetUpError
from k8gentai.stack.local import pidfile as notice
from k8gentai.stack.local import valkey
from k8gentai.stack.local.api_keys import api_key
from k8gentai.stack.local.model_endpoint import model_beside
from k8gentai.workers.queue import key_prefix
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.registry_store import IN_REDIS, place_named, store_at

AGENTS = Path("examples/agents")
"""Under the working directory: the agents' definitions, where ``AMF_AGENTS`` names no others."""
STATE = Path(".k8gentai")
"""Under the working directory: Redis's and the stack's data, the registry, logs."""
REGISTRY = STATE / "registry.json"
_STACK_URL = "http://127.0.0.1:8321"


@dataclass(frozen=True)
class Settings:
    """The settings that the environment gives the command."""

    agents: Path
    """``AMF_AGENTS``: where the agents' definitions are; where it is not set, the directory that the registry was
    made of, and `AGENTS` where there is none. Of a registry in Redis `remembering` knows."""
    registry: Path | Literal["redis"]
    """``AMF_REGISTRY``: where the map made of them is kept, the path of a file or the Redis that has the queue."""
    stack_url: str
    """``AMF_STACK_URL``: where models are, and whom the drill calls."""
    redis_url: str | None
    """``REDIS_URL``; None: the embedded one."""
    model: str | None
    """``INFERENCE_MODEL``: the model that definitions mean, beside a stack that is up as the stack names it; None:
    they cannot be read where they ask for it."""
    frameworks: tuple[str, ...]
    """The frameworks in use: of the stack that is up in this directory, else those that are installed."""
    remembers_agents: bool = False
    """Whether where the agents are is known of the registry alone."""
    names_agents: bool = True
    """Whether ``AMF_AGENTS`` is set."""
    up: notice.Notice | None = None
    """The stack that is up in this directory."""
    state: Path = STATE
    code_environment: Mapping[str, str] | None = None
    """The environment that agents' code is checked in; None for this process's."""

    @property
    def redis_directory(self) -> Path:
        """The embedded Redis's data."""
        return self.state / "redis"

    @property
    def names_no_stack(self) -> bool:
        """Whether neither a stack that is up here nor a variable says where the queue is."""
        return self.up is None and self.redis_url is None

    def registry_store(self) -> RegistryStore:
        """Return where the registry is kept."""
        return store_at(self.registry, self.worker_redis_url())

    def open_registry(self) -> Registry:
        """Return the registry, be it readable or not."""
        return Registry(self.registry_store())

    def read_registry(self) -> Registry:
        """Return the registry as it is now.

        Raises:
            SetUpError: it cannot be read, or there is none, nobody named one, and no stack is up here.
        """
        store = self.registry_store()
        registry, name = Registry(store, quiet=True), store.name
        if (trouble := registry.trouble()) is not None:
            raise SetUpError(f"The registry {name} cannot be read: {trouble.removeprefix(f'{name}: ')}")
        if self.up is None and self.registry == REGISTRY and not registry.written_at():
            raise SetUpError(
                f"No 'up' runs here, and there is no registry {name}: start '{PRODUCT.up}', run "
                f"'{PRODUCT.update}', or name that of the stack in AMF_REGISTRY."
            )
        return registry

    def remembering(self) -> "Settings":
        """Return the settings of who makes the registry of definitions: where no directory of them is named, with
        the one that the registry was made of, wherever that is kept. Redis is asked, if that has the registry.

        Raises:
            SetUpError: the directory is gone, or Redis is out of reach or does not say which one it is.
        """
        if self.registry == IN_REDIS:
            self._reach_registry()
        settings = self if self.names_agents or self.registry != IN_REDIS else self._remembering_in_redis()
        if settings.remembers_agents and not settings.agents.is_dir():
            raise SetUpError(
                f"The registry {self.registry_store().name} was made of {settings.agents}, and that directory is "
                f"not there: bring it back, or name another one in AMF_AGENTS ({AGENTS} has the examples)."
            )
        return settings

    def _reach_registry(self) -> None:
        """See that the Redis that has the registry answers: each look at it waits for as long as it is silent, and
        says so.

        Raises:
            SetUpError: it does not.
        """
        try:
            with self.registry_store().claim():
                pass
        except OSError as error:
            raise SetUpError(f"The registry cannot be read: {error}") from error

    def _remembering_in_redis(self) -> "Settings":
        try:
            known = _remembered_agents(self.read_registry())
        except SetUpError as error:
            raise SetUpError(f"{error}. Name the directory of the definitions in AMF_AGENTS.") from error
        return replace(self, agents=known or AGENTS, remembers_agents=known is not None)

    def worker_redis_url(self) -> str:
        """Return where a worker finds the queue: what is named, an embedded Redis that is there, else the usual
        port.
        """
        if self.redis_url is not None:
            return self.redis_url
        if valkey.socket_path(self.redis_directory).exists():
            return valkey.redis_url(self.redis_directory)
        return "redis://localhost:6379/0"


def take_stack_api_key() -> str | None:
    """``AMF_STACK_API_KEY``: a worker's credential, where the stack asks who calls. It leaves the environment, as
    agents' code is to hold none.

    Raises:
        SetUpError: no HTTP header can carry it.
    """
    try:
        return api_key(os.environ, "AMF_STACK_API_KEY")
    finally:
        os.environ.pop("AMF_STACK_API_KEY", None)


def settings_of_up() -> Settings:
    """Return the settings of every command that has to do with a stack which may be up in this directory: those of
    that stack, but for what is set in this process's environment. Sets the variables that are not set here as they
    are there. Code of agents that is checked sees those of the stack's workers alone.

    Raises:
        SetUpError: a variable cannot be read.
    """
    if (up := notice.read(STATE)) is None:
        return read_settings()
    os.environ["INFERENCE_MODEL"] = _model_beside(up)
    # Not what it was started with: it is the stack's own, whatever was set.
    os.environ["AMF_STACK_URL"] = os.environ.get("AMF_STACK_URL") or up.stack_url
    notice.take_environment(up)
    if os.environ.get("AMF_KEY_PREFIX", "") != key_prefix.PREFIX:
        # It was read when this process began, and stands in every key.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ)  # noqa: S606 - itself
    settings = read_settings()
    theirs = notice.workers_environment(up)
    if theirs is None:
        return settings
    return replace(settings, code_environment={**theirs, "REDIS_URL": settings.worker_redis_url()})


def read_settings() -> Settings:
    """Return the settings of this process; an empty variable counts as one that is not set.

    What is not set is that of the stack that is up in this directory, if one is.

    Raises:
        SetUpError: a variable cannot be read.
    """
    up = notice.read(STATE)
    registry = _registry()
    named = os.environ.get("AMF_AGENTS") or None
    remembered = (
        None if named or not isinstance(registry, Path) else _remembered_agents(Registry(registry, quiet=True))
    )
    return Settings(
        agents=Path(named) if named else remembered or AGENTS,
        registry=registry,
        stack_url=_stack_url() or (up.stack_url if up else _STACK_URL),
        redis_url=_redis_url(),
        model=_model_beside(up) if up else os.environ.get("INFERENCE_MODEL") or None,
        frameworks=tuple(up.frameworks) if up else frameworks_here(),
        remembers_agents=remembered is not None,
        names_agents=named is not None,
        up=up,
    )


def _registry() -> Path | Literal["redis"]:
    """``AMF_REGISTRY``.

    Raises:
        SetUpError: it is a URL.
    """
    try:
        return place_named(os.environ.get("AMF_REGISTRY") or str(REGISTRY))
    except ValueError as error:
        raise SetUpError(f"AMF_REGISTRY: {error}") from error


def _remembered_agents(registry: Registry) -> Path | None:
    """Return where the agents of a registry are from, be it there or not, unless that is the usual place.

    One's own agents, whose turns may wait, are not to go because a shell lacks a variable, or a volume is away.
    """
    known = registry.agents_dir()
    return known if known and known.absolute() != AGENTS.absolute() else None


def _model_beside(up: notice.Notice) -> str:
    """``INFERENCE_MODEL``, as the stack that is up names it: the same model by another name is another request to
    every agent, which no journal has the answers of.
    """
    if up.has_one_model:
        return up.model
    return model_beside(
        up.model, os.environ.get("INFERENCE_MODEL") or None, notice.started_with(up, "INFERENCE_MODEL")
    )


def _stack_url() -> str | None:
    """``AMF_STACK_URL``.

    Raises:
        SetUpError: it is no address of a server.
    """
    url = os.environ.get("AMF_STACK_URL") or None
    if url is not None and not is_http_address(url):
        raise SetUpError(f"AMF_STACK_URL: it is an http or https URL with a host, as {_STACK_URL} is.")
    return url


def _redis_url() -> str | None:
    """``REDIS_URL``.

    Raises:
        SetUpError: no client can be made of it, or what stands before all keys (``AMF_KEY_PREFIX``) cannot.
    """
    if fault := key_prefix.fault_of(key_prefix.PREFIX):
        raise SetUpError(fault)
    url = os.environ.get("REDIS_URL") or None
    if url is not None:
        try:
            connect(url)
        except ValueError as error:
            raise SetUpError(f"REDIS_URL: {error}") from error
    return url
