"""The kinds of resources there are."""

from collections.abc import Mapping

from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.resources.resource import Resource

KINDS: Mapping[str, type[Resource]] = {
    "Agent": AgentDefinition,
}
"""The model of each kind. What is read, its faults and its warnings are made of it: a further kind is a file
with that, and a line here."""
