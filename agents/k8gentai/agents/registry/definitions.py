"""The documents that are agents' definitions, or mean to be, among those of a directory of resources."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.resources import reader
from k8gentai.agents.resources.agent import FRAMEWORKS_HERE, AgentDefinition
from k8gentai.agents.resources.kinds import KINDS
from k8gentai.agents.resources.reader import Document

AGENT = "Agent"


class AgentDocument(Document):
    """A document that means to be an agent: a definition, or the faults that keep it from being one."""

    @property
    def id(self) -> str:
        """The id it gives itself; the file's name where it gives none."""
        return self.name

    @property
    def framework(self) -> str:
        """As the definition names it; empty where it names none."""
        return self.scalar("spec", "framework") or ""

    @property
    def definition(self) -> AgentDefinition | None:
        return self.resource if isinstance(self.resource, AgentDefinition) else None


def read_documents(
    agents_dir: Path, environment: Mapping[str, str] = os.environ, frameworks: Collection[str] = FRAMEWORKS
) -> list[Document]:
    """Read the documents under a directory, of whatever kind.

    Args:
        agents_dir: the directory.
        environment: the variables that values may name.
        frameworks: the frameworks that there is an adapter for.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    return reader.read_documents(agents_dir, environment, context={FRAMEWORKS_HERE: frameworks})


def read_definitions(
    agents_dir: Path, environment: Mapping[str, str] = os.environ, frameworks: Collection[str] = FRAMEWORKS
) -> list[AgentDocument]:
    """Read the agents under a directory, as `read_documents` and `agents_among` do."""
    return agents_among(read_documents(agents_dir, environment, frameworks))[0]


def agents_among(
    documents: Iterable[Document], kinds: Collection[str] = KINDS.keys()
) -> tuple[list[AgentDocument], list[Document]]:
    """Part documents.

    Args:
        documents: the documents that were read.
        kinds: the kinds that were known to their reader.

    Returns:
        The agents, and those of no known kind: what means to be an agent is not to vanish for a slip in its
        ``kind``. And the others.
    """
    agents: list[AgentDocument] = []
    others: list[Document] = []
    for document in documents:
        if document.kind in kinds and document.kind != AGENT:
            others.append(document)
        else:
            agents.append(AgentDocument(**vars(document)))
    return agents, others
