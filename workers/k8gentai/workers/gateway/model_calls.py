"""The model calls of one attempt: who they belong to, what they may use, what they came to."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k8gentai.agents.adapters.base.tool_choice import ToolChoice
from k8gentai.agents.contract.events import Usage
from k8gentai.agents.contract.turn import ModelEndpoint, StepLimitReached, TurnError
from k8gentai.agents.text.json_text import arguments_object
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import Failure
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.gateway.added_fields import KeptFields
from k8gentai.workers.gateway.call_ids import CallIds
from k8gentai.workers.gateway.upstream import StackAwayError, StackLostError, UpstreamError
from k8gentai.workers.isolation.current_attempt import RunningAttempt
from k8gentai.workers.stack.credentials import Caller

TURN_HEADER = "x-amf-turn"
"""Carries an attempt's key on model calls whose code knows nothing of us."""
INNER_HEADER = "x-amf-inner"
"""Marks a model call whose answer is not the turn's."""
SCOPE_HEADER = "x-amf-scope"
"""Carries the id of the tool call inside which a model call is made, percent-encoded."""
PLACE_HEADER = "x-amf-place"
"""Carries the file and line of the agent's code that makes a model call, percent-encoded."""


def cancel_once(call: asyncio.Task[Any]) -> None:
    """Cancel a call, unless it is being cancelled: a second time would interrupt the closing of its stream."""
    if not call.cancelling():
        call.cancel()


class ModelError(Exception):
    """A model call failed for good. The message names the model and the cause, and is for a person.

    Args:
        message: the message.
        code: of a turn that fails because of it.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ModelCalls:
    """The state of one attempt in the gateway: its model calls, their limits, and what is kept from one to the
    next.

    Args:
        caller: the attempt.
        model: the model that answers every call, or None for the one each call names.
        budget: the limits of their number, and of what they use.
        on_usage: takes the tokens of each call that ended.
        on_answer: takes the finish reason of each answer, before the agent sees it.
        journal: answers calls that an earlier attempt made, and keeps those of this one.
        origin: the turn that the journal began with, where that is another: ids of tool calls come of it.
        guard: is to know of every tool call that the model makes.
        asked: the request's parameters for calls that an agent's code makes, under their Responses API names.
        choice: the request's ``tool_choice``, where the gateway sees to it.
        written: takes the arguments of all tool calls as the model wrote them, by the call's id.
        unreadable: takes those of them that are no JSON object.
    """

    def __init__(
        self,
        caller: Caller,
        model: str | None,
        budget: Budget,
        on_usage: Callable[[Usage], None],
        on_answer: Callable[[str], None],
        journal: Journal,
        *,
        guard: ToolGuard,
        origin: str | None = None,
        asked: dict[str, Any] | None = None,
        choice: ToolChoice | None = None,
        written: dict[str, str] | None = None,
        unreadable: dict[str, str] | None = None,
    ) -> None:
        self.caller = caller
        self.turn_id = caller.turn_id
        self.call_ids = CallIds(origin or self.turn_id)
        self.kept_fields = KeptFields()
        self.attempt = RunningAttempt(self.turn_id)
        self.asked = asked or {}
        self.choice = choice
        self._has_called = False
        """Whether the model has made a tool call."""
        self.model = model
        self._on_usage = on_usage
        self.on_answer = on_answer
        self.guard = guard
        self.journal = journal
        self.error: ModelError | StepLimitReached | TurnError | None = None
        """The reason why the last call failed; None after one that went well."""
        self.waited_for: dict[str, str] = {}
        """The models of calls whose answers have not come to their ends, by the calls' keys."""
        self.left: str | None = None
        """The model of the last call, where the agent stopped waiting for its answer."""
        self.is_ending = False
        """Whether the attempt ends, so that its agent is stopped: it gives up nothing by itself any more."""
        self.embedded_bytes = 0
        """The bytes of the journal that answers of embedding models take, those of earlier attempts included."""
        self.last_asked: str | None = None
        """The model of the last call."""
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Done once the stack's server went away in an answer that was shown in part."""
        self._budget = budget
        self._running: set[asyncio.Task[Any]] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self.images: dict[str, list[str]] = {}
        """The addresses of the images in tools' results, by the call's id."""
        self.images_refused = False
        """Whether the model has refused a call with such images, and answered the same without."""
        self.unreadable = {} if unreadable is None else unreadable
        """The arguments of tool calls that are no JSON object, by the call's id."""
        self.written = {} if written is None else written
        self.silent: str | None = None
        """The model of the last call, where its answer holds neither words nor calls."""
        self.refusals: set[str] = set()
        """The texts of answers that are refusals."""

    def begin(self, messages: object, place: str, around: str = "") -> None:
        """Count a call.

        Args:
            messages: the messages that the model is to be sent.
            place: the line of the agent's code that makes the call; empty where it is not known.
            around: the tool call inside which it is made, empty where it is inside none.

        Raises:
            ToolBypassedError: the messages hold a tool's result that did not come through the tool boundary.
            StepLimitReached: the turn has made as many as it may.
            BudgetExceededError: its tokens are used up.
        """
        try:
            self.guard.check(messages, place)
            self._budget.model_call(around)
        except (StepLimitReached, TurnError) as error:
            self.error = error
            raise
        self.error = None
        self.silent = None
        self.left = None

    def begin_embedding(self) -> None:
        """Check that an embedding model may be called, which is no step of the agent's.

        Raises:
            BudgetExceededError: the turn's tokens are used up.
        """
        try:
            self._budget.check_tokens()
        except TurnError as error:
            self.error = error
            raise
        self.error = None

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._running)

    def on_usage(self, usage: Usage, around: str = "") -> None:
        """Take the tokens of a call that ended.

        Args:
            usage: the tokens.
            around: the tool call inside which it was made, empty where it was inside none.
        """
        self._budget.use(usage, around)
        self._on_usage(usage)

    def answered(
        self,
        written: Mapping[str, str],
        reasoning: dict[str, Any],
        extras: Mapping[str, dict[str, Any]],
        model: str,
    ) -> None:
        """Note what a whole answer says of its tool calls, before the agent sees its end.

        Args:
            written: the calls' arguments by their ids, as the model wrote them.
            reasoning: the model's reasoning before it made them, by the name of the field it came in; or nothing.
            extras: the fields that the endpoint added to the calls, by their ids.
            model: the model.
        """
        self.kept_fields.keep(list(written), reasoning, extras, model)
        self.written.update(written)
        self._has_called |= bool(written)
        for call_id, arguments in written.items():
            if arguments_object(arguments) is None:
                self.unreadable[call_id] = arguments
                # No tool runs for it.
                self.guard.came(call_id)

    def with_choice(self, body: dict[str, Any], around: str) -> dict[str, Any]:
        """Return a model call with the tools that the request's ``tool_choice`` lets it offer, and wants called.

        Args:
            body: the call.
            around: the tool call inside which it is made, empty where it is inside none.
        """
        if self.choice is None or around:
            return body
        return self.choice.held(body, called=self._has_called)

    def refused(self, refusal: str) -> None:
        """Note what a whole answer refuses with; nothing where it does not."""
        if refusal:
            self.refusals.add(refusal)

    def track(self, call: asyncio.Task[Any]) -> None:
        """End this call with the attempt, should it outlive it."""
        self._running.add(call)
        call.add_done_callback(self._running.discard)

    def watch(self, watching: asyncio.Task[None]) -> None:
        """Keep the task that watches the client of a call."""
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    def stop(self) -> None:
        """Close what the attempt has under way: agent code that reads on in a thread is not waited for."""
        for call in self._running:
            cancel_once(call)

    def lose(self, error: Exception) -> None:
        """Note that an answer was cut off by the end of the stack's server."""
        if not self.lost.done():
            self.lost.set_result(error)

    async def record_failure(
        self, key: str, error: UpstreamError, chunks: Sequence[dict[str, Any]] = (), *, around: str = ""
    ) -> None:
        """Keep how a call failed, as the agent may go on from that; not where the stack's server was away, which
        is nothing that the model did.

        Args:
            key: the call, as the journal has it.
            error: why it failed.
            chunks: the chunks of its answer that came before.
            around: the tool call inside which it was made, empty where it was inside none.
        """
        if not isinstance(error, StackAwayError | StackLostError):
            failure = Failure(cause=str(error), status=error.status, code=error.code, chunks=list(chunks))
            await self.journal.record_failure(key, failure, around)

    def failed(self, model: str, cause: str, code: str) -> ModelError:
        """Note why a call failed, for the end of the turn."""
        error = ModelError(f"model {model}: {cause}", code)
        self.error = error
        return error


class OpenAttempts:
    """The attempts that run in this process, by key.

    Args:
        base_url: the gateway's, as an OpenAI client wants it.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._by_key: dict[str, ModelCalls] = {}

    def open(self, calls: ModelCalls) -> ModelEndpoint:
        """Let an attempt call its model. Returns where."""
        self._by_key[calls.attempt.key] = calls
        return ModelEndpoint(base_url=self.base_url, api_key=calls.attempt.key, model=calls.model)

    def close(self, calls: ModelCalls) -> None:
        """Close an attempt that is over: its key is worth nothing from now on."""
        self._by_key.pop(calls.attempt.key, None)
        calls.attempt.over = True
        calls.stop()

    def find(self, key: str | None) -> ModelCalls | None:
        """Return the attempt a key belongs to."""
        return self._by_key.get(key) if key else None
