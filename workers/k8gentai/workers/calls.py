"""The model calls of one attempt: who they belong to, what they may use, what they came to."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from contextvars import ContextVar

from k8gentai.agents.events import Usage
from k8gentai.agents.turn import ModelEndpoint, StepLimitReached, TurnError
from k8gentai.workers.budget import Budget
from k8gentai.workers.journal import Journal

TURN_HEADER = "x-amf-turn"
"""Carries an attempt's key on model calls whose code knows nothing of us."""

current_key: ContextVar[str | None] = ContextVar("amf_turn_key", default=None)
"""The key of the attempt that the running code belongs to."""


def cancel_once(call: asyncio.Task[None]) -> None:
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
    """What the gateway knows of one attempt.

    Args:
        turn_id: the turn.
        model: the model that answers every call, or None for the one each call names.
        max_steps: how many calls the turn may make.
        budget: what they may use.
        on_usage: takes the tokens of each call that ended.
        on_answer: takes the finish reason of each answer, before the agent sees it.
        journal: answers calls that an earlier attempt made, and keeps those of this one.
        trace: the trace context its calls continue, as HTTP headers.
    """

    def __init__(
        self,
        turn_id: str,
        model: str | None,
        max_steps: int,
        budget: Budget,
        on_usage: Callable[[Usage], None],
        on_answer: Callable[[str], None],
        journal: Journal,
        trace: dict[str, str] | None = None,
    ) -> None:
        self.key = f"amf-{secrets.token_urlsafe(24)}"
        self.turn_id = turn_id
        self.model = model
        self._on_usage = on_usage
        self.on_answer = on_answer
        self.journal = journal
        self.trace = trace or {}
        self.error: ModelError | StepLimitReached | TurnError | None = None
        """Why the last call failed; None after one that went well."""
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Done once the stack's server went away in an answer that was shown in part."""
        self._max_steps = max_steps
        self._budget = budget
        self._made = 0
        self._running: set[asyncio.Task[None]] = set()
        self._call_ids: dict[str, str] = {}

    def begin(self) -> None:
        """Count a call.

        Raises:
            StepLimitReached: the turn has made as many as it may.
            BudgetExceededError: its tokens are used up.
        """
        try:
            if self._made >= self._max_steps:
                raise StepLimitReached(self._max_steps)
            self._budget.model_call()
        except (StepLimitReached, TurnError) as error:
            self.error = error
            raise
        self._made += 1
        self.error = None

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._running)

    def on_usage(self, usage: Usage) -> None:
        """Take the tokens of a call that ended."""
        self._budget.use(usage)
        self._on_usage(usage)

    def own_call_id(self, call_id: str, key: str) -> str:
        """A tool call's id that no other answer of the turn has used: some models count from 0 in each.

        Args:
            call_id: as the model gave it.
            key: the journal's key of the model call.
        """
        if self._call_ids.setdefault(call_id, key) == key:
            return call_id
        own = f"{call_id}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        self._call_ids[own] = key
        return own

    def track(self, call: asyncio.Task[None]) -> None:
        """End this call with the attempt, should it outlive it."""
        self._running.add(call)
        call.add_done_callback(self._running.discard)

    def stop(self) -> None:
        """Close what the attempt has under way: agent code that reads on in a thread is not waited for."""
        for call in self._running:
            cancel_once(call)

    def lose(self, error: Exception) -> None:
        """Note that an answer was cut off by the end of the stack's server."""
        if not self.lost.done():
            self.lost.set_result(error)

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
        self._by_key[calls.key] = calls
        return ModelEndpoint(base_url=self.base_url, api_key=calls.key, model=calls.model)

    def close(self, calls: ModelCalls) -> None:
        """The attempt is over: its key is worth nothing from now on."""
        self._by_key.pop(calls.key, None)
        calls.stop()

    def find(self, key: str | None) -> ModelCalls | None:
        """The attempt a key belongs to."""
        return self._by_key.get(key) if key else None
