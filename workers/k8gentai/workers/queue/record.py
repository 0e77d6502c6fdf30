"""The record of a turn: all that Redis keeps of it beside its events."""

import hashlib
import json
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from k8gentai.agents.contract.turn import Item, Turn
from k8gentai.workers.queue.grants import Parent
from k8gentai.workers.queue.previous_release import BothForms

DEFAULT_TENANT: Final = "default"
"""The tenant of turns for whom nobody is asked for one. It is named here and nowhere else."""

Status = Literal["queued", "running", "suspended", "completed", "incomplete", "failed", "cancelled"]

ENDED: frozenset[Status] = frozenset({"suspended", "completed", "incomplete", "failed", "cancelled"})
"""A suspended turn has ended as well: what answers it is a turn of its own."""


class Owner(BaseModel):
    """The owner of a turn: the caller's principal and attributes as the host authenticated them."""

    principal: str
    attributes: dict[str, list[str]] | None = None


def principal_of(owner: Owner | None) -> str:
    """Return the principal as it stands in keys; empty where the host runs without authentication."""
    return owner.principal if owner else ""


class Answer(BaseModel):
    """A person's decision."""

    approve: bool
    reason: str | None = None
    request_id: str
    """The id of the item that asked."""
    name: str = ""
    """The tool, or other thing, that the person was asked about. Empty in records of older versions."""
    seen: str | None = None
    """A digest of the name and arguments that the person saw, from :func:`seen_digest`; None in records of older
    versions, whose answers count for nothing: the question is asked again."""

    def is_about(self, name: str, arguments: str) -> bool:
        """Return whether the person saw just this name and these arguments."""
        return self.seen == seen_digest(name, arguments)


def seen_digest(name: str, arguments: str) -> str:
    """Digest what a person is shown of a question.

    Args:
        name: what would be done.
        arguments: JSON text, whose spaces and order of names do not count.
    """
    try:
        written = json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        written = arguments
    return hashlib.sha256(f"{name}\n{written}".encode(errors="surrogatepass")).hexdigest()


class Replay(BaseModel):
    """The ended turn that a turn goes on with: its agent runs again with its journal."""

    of: str
    """The ended turn."""
    turn: Turn
    """The turn as its agent first saw it, and sees it again."""
    answers: dict[str, Answer] = Field(default_factory=dict)
    """The decisions so far, by the call's id."""
    retry: bool = False
    """Whether the turn is told anew from its beginning; otherwise it goes on from where the ended one stopped."""
    tried_by: str | None = None
    """The turn that tried a failed one again last, of those that this one goes on with; None where none did."""


def decisions(given: list[Item]) -> set[str]:
    """Return the approval requests that an input answers."""
    return {item["approval_request_id"] for item in given if item["type"] == "mcp_approval_response"}


def refusals(given: list[Item]) -> set[str]:
    """Return the approval requests that an input refuses, and nowhere approves."""
    answers = [item for item in given if item["type"] == "mcp_approval_response"]
    approved = {item["approval_request_id"] for item in answers if item["approve"] is True}
    return {item["approval_request_id"] for item in answers} - approved


VERSION: Final = 2
"""The form of the records that this release writes. 1 is the form before :attr:`AcceptedTurn.origin`."""


class AcceptedTurn(BothForms):
    """The part of a turn's record that is written once, when the turn is accepted.

    Readers are lenient: they leave out fields that they do not know, and one that a record lacks has its default.
    """

    version: int = VERSION
    """The form that the record was written in; see :data:`VERSION`."""
    turn: Turn
    framework: str
    """The framework whose adapter runs the agent."""
    pool: str = Field(default_factory=lambda known: str(known["framework"]))
    """The pool whose workers run the turn, and whose queue it waits in."""
    tenant: str = DEFAULT_TENANT
    """The tenant that the turn's data belong to."""
    revision: str = ""
    """A digest of the definition that the turn was accepted for; empty where none is known."""
    implicit: bool = False
    """Whether the agent is a plain model name, run as :func:`k8gentai.agents.resources.agent.implicit_agent`."""
    owner: Owner | None = None
    """The owner; None where the host runs without authentication."""
    request: dict[str, Any] = Field(default_factory=dict)
    """The request as it was validated, for echoing its parameters."""
    previous_response_id: str | None = None
    background: bool = False
    store: bool = True
    accepted_at: float = 0.0
    """0 as it is written, for workers and servers of earlier versions, which read no turn without it. What counts
    is the field of the turn's hash: Redis' time, Unix time in seconds."""
    trace: dict[str, str] = Field(default_factory=dict)
    """The caller's trace context (W3C traceparent), as OpenTelemetry injected it."""
    replay: Replay | None = None
    parent: Parent | None = None
    """The turn whose tool call it answers, if it answers one."""

    def refused(self) -> set[str]:
        """Return the ids of the calls that a person refused in this turn: nobody made them."""
        refused = refusals(self.turn.input)
        answers = self.replay.answers if self.replay else {}
        return {call_id for call_id, answer in answers.items() if answer.request_id in refused}


class CallCounts(BaseModel):
    """Counts of a turn's calls, and of its workers' ends."""

    crashes: int = 0
    """The number of times that it ended its worker, which ran nothing beside it, or is known to have done it."""
    shared_crashes: int = 0
    """The number of times that its worker died with several turns in it. They count against none of them."""
    hand_overs: int = 0
    """The number of times that a worker gave it to another, as it stopped or made room, or was lost by no fault of
    the turn's."""
    breaks: int = 0
    """The number of attempts that broke off by something that neither the agent nor its worker's end did."""
    models_made: int = 0
    """Model calls that were answered, and are in the journal."""
    models_replayed: int = 0
    """Model calls that the journal answered in the last attempt that came to an end."""
    models_repeated: int = 0
    """Model calls that were made though the journal had their answer. To be 0."""
    tools_made: int = 0
    """Tool calls that came to their end, and are in the journal."""
    tools_replayed: int = 0
    """Tool calls that the journal answered in the last attempt that came to an end."""
    tools_repeated: int = 0
    """Tool calls that were made though the journal had their result. To be 0."""
    effects_made: int = 0
    """Effects beside model and tool calls that were made, as of guardrails or files, and are in the journal."""
    effects_replayed: int = 0
    """Such effects that the journal answered in the last attempt that came to an end."""
    effects_repeated: int = 0
    """Such effects that were made though the journal had their result. To be 0."""
    unrecorded: int = 0
    """The number of times that something did not fit the turn's journal."""


class TurnRecord(AcceptedTurn, CallCounts):
    """An accepted turn and how it stands."""

    status: Status
    """The state of the turn."""
    attempt: int = 0
    """The number of the last attempt, which is its fence; 0 before the first."""
    last_seq: int = 0
    """The ``seq`` of the last event."""
    worker: str | None = None
    """The worker that runs it, or ran it last."""
    # The times are Redis', Unix time in seconds.
    started_at: float | None = None
    """The time at which its first attempt began."""
    ended_at: float | None = None
    """The time at which it ended."""
    expires_at: float | None = None
    """The time until which a suspended turn waits."""
    answered: str | None = None
    """The turn that continues a suspended one, or that runs a failed one again."""
    settled: bool = False
    """Whether it stands in the SQL store."""

    @property
    def standing(self) -> str:
        """The turn's state for people: its status, or ``answered`` once it waits no more."""
        return "answered" if self.status == "suspended" and self.answered else self.status
