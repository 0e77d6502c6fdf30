"""The capabilities that a framework's agents may have behind k8gentai, and the checks that show them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from k8gentai.stack.conformance.lab import Lab


class Capability(StrEnum):
    """A row of the table. A framework may declare, with its reason, that it cannot have one."""

    TEXT = "text answers"
    TEXT_DELTAS = "text token by token"
    REASONING = "reasoning shown, and sent back to the model"
    USAGE = "tokens counted"
    TOOLS = "tool calls with arguments and results"
    ARGUMENT_DELTAS = "arguments of tool calls piece by piece"
    TOOLS_IN_SEQUENCE = "several tools in sequence"
    PARALLEL_TOOLS = "several tools at the same time"
    TOOL_FAILURE = "tool failures shown to the model"
    HISTORY = "history over turns"
    INSTRUCTIONS = "instructions of the request"
    MODEL = "the definition's model"
    DECLARED = "declarative agents"
    DECLARED_TOOLS = "tools of declarative agents"
    IMAGES = "images of requests and of tools"
    STRUCTURED = "structured output"
    CLIENT_TOOLS = "tools that the client runs"
    APPROVAL = "approval of tool calls by a person"
    CANCEL = "cancel"
    LIMITS = "limits of time and model calls"
    MODEL_FAILURE = "failures of the model"
    AGENT_FAILURE = "agents that raise"
    AT_ONCE = "twenty turns at once"
    REPLAY = "crash and replay"
    PARALLEL_REPLAY = "crash and replay of tools that ran at the same time"


Run = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        capabilities: what it shows; the first is its row in the table. A framework that cannot have one of them is
            not put to it.
        run: raises where the adapter does not do what it should.
    """

    capabilities: tuple[Capability, ...]
    run: Run

    @property
    def name(self) -> str:
        """In words, as its function is called."""
        return self.run.__name__.replace("_", " ")

    @property
    def capability(self) -> Capability:
        """Its row in the table."""
        return self.capabilities[0]


_checks: list[Check] = []


def check(*capabilities: Capability) -> Callable[[Run], Run]:
    """Have a function be run with every framework that has these capabilities."""

    def register(run: Run) -> Run:
        _checks.append(Check(capabilities, run))
        return run

    return register


def registered() -> tuple[Check, ...]:
    """Return the checks, in the order of their capabilities; those of modules that were imported."""
    order = list(Capability)
    return tuple(sorted(_checks, key=lambda check: order.index(check.capability)))
