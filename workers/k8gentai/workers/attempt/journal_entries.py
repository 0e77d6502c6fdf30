"""The entries of a turn's journal, and their keys.

Given-up calls, which are entries too, are in :mod:`k8gentai.workers.attempt.given_up`.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from k8gentai.agents.contract.events import Usage
from k8gentai.agents.text.utf8 import JsonObject, Text
from k8gentai.agents.tools.own_result import FailedTry
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.queue.stored import FAILURE, GIVEN_UP, TOOL

Answer = list[dict[str, Any]]
"""A model's answer: its chunks in order, or its one completion."""


class Failure(BaseModel):
    """The failure of a model call for good, as the agent was told: it may have gone on with another model. Or the
    refusal of an effect."""

    cause: Text
    status: int
    """The HTTP status that the agent's client got."""
    code: Text
    """The code of a turn that fails because of it."""
    chunks: list[JsonObject] = []
    """The part of the answer that came before."""
    turn_id: Text = ""
    """The turn that recorded it."""
    tools_begun: int | None = None
    """The number of tool calls that had begun; None in entries of older versions."""
    tools_done: int = 0
    """The number of tool calls that had come to their ends."""


class AskedAgent(BaseModel):
    """A turn of another agent, which a tool call asked for, and which waits for a person.

    It is found by this for as long as the turn whose call that is may go on, as is the journal that has it.
    """

    response_id: Text
    key: Text
    """The idempotency key of the request that brought it."""
    requests: list[JsonObject]
    """The items of its response that ask people."""
    said: Text = ""
    """The last thing that it said, or the turns that it goes on with."""


class ToolEntry(BaseModel):
    """The state of a tool call, and its result."""

    state: Literal["running", "left", "done"]
    """``running``: begun, and its worker has not told of its end. ``left``: it stopped to ask a person, and begins
    again when there is an answer."""
    output: Text = ""
    is_error: bool = False
    raw: Text = ""
    results: list[JsonObject] = []
    images: list[Text] = []
    """The addresses of the images in its result, data URLs among them."""
    usage: list[Usage] = []
    """The tokens of models that it used, as agents do that are asked as tools."""
    asked: str | None = None
    """A digest of the tool's name and of the arguments as the model or the agent's code wrote them, from
    :func:`k8gentai.workers.queue.record.seen_digest`; None in entries of older versions."""
    ran: str | None = None
    """A digest of the tool's name and of the arguments that the tool runs with, to which code may have added; None
    in entries of older versions."""
    scoped: bool = False
    """Whether model calls made inside it are known by it: ``around`` of
    :meth:`k8gentai.workers.attempt.journal.Journal.model_key`."""
    inside: Inside | None = None
    """The calls and tokens of the code that answers it; None in entries of older versions, which do not say it."""
    returned: Text | None = None
    """The result of its tool itself, where code around it stopped to ask a person: see
    :class:`k8gentai.agents.tools.own_result.OwnResult`."""
    failed: list[FailedTry] = []
    """The runs of its tool that failed before that."""
    asked_agent: AskedAgent | None = None
    """The turn that it asked for and that waits for a person; None also in entries of older versions."""

    @property
    def is_kept(self) -> bool:
        """Whether it is known what its tool came to, where the call has no end, or what that waits for."""
        return self.returned is not None or bool(self.failed) or self.asked_agent is not None

    @property
    def is_tried(self) -> bool:
        """Whether its tool has failed, and is not known to have returned."""
        return bool(self.failed) and self.returned is None

    def is_about(self, asked: str) -> bool:
        """Return whether the call has that digest."""
        return self.asked in (None, asked)


def begun_tools(recorded: Mapping[str, str]) -> set[str]:
    """Return the keys of the tool calls that have begun."""
    return {key for key in recorded if key.startswith(TOOL)}


def done_tools(recorded: Mapping[str, str]) -> set[str]:
    """Return the keys of the tool calls that came to their ends."""
    tools = {key: json.loads(value) for key, value in recorded.items() if key.startswith(TOOL)}
    return {key for key, entry in tools.items() if entry.get("state") == "done"}


def failure_key(key: str) -> str:
    """Return the journal's key of how a call failed, or an effect was refused, given the key of that."""
    return FAILURE + key


def tool_key(call_id: str) -> str:
    """Return the journal's key of a tool call."""
    return TOOL + call_id


def own_key(patience_key: str) -> str:
    """Return the key of the tool itself of a tool call, which code of the agent's around it may give up.

    Args:
        patience_key: the call's, from :meth:`k8gentai.workers.attempt.journal.Journal.patience_key`. One that the
            agent gave up and makes again begins with the first run of its tool.
    """
    call, _, number = patience_key.removeprefix(GIVEN_UP).rpartition(" ")
    # Without the first number, as records have it that were written before calls were told apart by it.
    return f"own {call}" if number == "1" else f"own {call} {number}"
