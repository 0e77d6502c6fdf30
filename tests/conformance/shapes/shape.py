"""What a shape is: an agent as its framework's documentation writes it, and which promises are put to it.

A framework's shapes are the tuple ``SHAPES`` of ``agents/<framework>/shapes.py``, which imports no framework. The
agents have the tools of :mod:`tests.conformance.shapes.agents.functions` and call the model ``scripted-model``.
"""

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from k8gentai.stack.conformance.scripted import Answer

ORDER = {"item": "tea", "amount": 3}
"""The structured answer of every shape: :class:`tests.conformance.shapes.agents.functions.Order`."""


class Column(StrEnum):
    """A column of the table."""

    STREAMS = "streams"
    APPROVAL = "approval"
    STRUCTURED = "structured"
    RAISING = "raising tool"
    CRASH = "crash"
    AS_TOOL = "as a tool"


Answers = tuple[Answer, ...]
Script = Callable[[str, Answers, Answers], Mapping[str, Answers]]
"""Makes what the model answers of a key, of the answers that call tools and those that are the agent's last: the
answers by what follows the key, ``""`` for the key itself. Prompts that a shape makes name the key as well."""


def loop(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """Script an agent that calls tools until it answers."""
    return {"": (*calls, *final)}


def _as_it_is(answer: Answer) -> Answer:
    return answer


@dataclass(frozen=True)
class Structured:
    """How a shape answers in a structure.

    Attributes:
        entrypoint: of the agent that does so; without, it is the shape itself, by ``text.format`` of the request.
        final: the model's last answers.
    """

    entrypoint: str | None = None
    final: Answers = (Answer(json.dumps(ORDER)),)


@dataclass(frozen=True)
class Shape:
    """An agent as its framework's documentation writes it.

    Attributes:
        name: the agent's id.
        title: what the documentation calls it, in Markdown.
        entrypoint: its own; None of a declarative agent.
        script: what the model answers.
        spec: what its definition has beside.
        structured: how it answers in a structure.
        tools: whether it calls tools at all.
        asks: the name of the request by which its own code asks before it pays; None where the definition asks.
        remembers: whether its models are shown what tools came to in earlier turns.
        alone: makes of an answer of the model's what the framework alone wants in its place.
        without: the columns that cannot be put to it, and why.
        fails: the columns that fail, and why.
    """

    name: str
    title: str
    entrypoint: str | None = None
    script: Script = loop
    spec: Mapping[str, Any] = field(default_factory=dict)
    structured: Structured = Structured()
    tools: bool = True
    asks: str | None = None
    remembers: bool = True
    alone: Callable[[Answer], Answer] = _as_it_is
    without: Mapping[Column, str] = field(default_factory=dict)
    fails: Mapping[Column, str] = field(default_factory=dict)

    @property
    def guarded(self) -> str:
        """The id of the agent whose definition wants approval for ``pay``."""
        return self.name if self.asks or not self.tools else f"{self.name}-guarded"

    @property
    def in_structure(self) -> str:
        """The id of the agent that answers in a structure."""
        return f"{self.name}-structured" if self.structured.entrypoint else self.name

    @property
    def asking(self) -> str:
        """The id of the declarative agent whose tool the shape is."""
        return f"{self.name}-asking"

    def has(self, column: Column) -> bool:
        """Whether a column is put to it, and holds."""
        return column not in self.without and column not in self.fails


def shapes_of(framework: str) -> tuple[Shape, ...]:
    """The shapes of a framework, in the order of its table; none where it declares none."""
    package = f"tests.conformance.shapes.agents.{framework.replace('-', '_')}"
    if importlib.util.find_spec(package) is None:
        return ()
    shapes: tuple[Shape, ...] = importlib.import_module(f"{package}.shapes").SHAPES
    return shapes
