"""What one turn may use: a turn that wants more is ended, with an error that says of what."""

from collections.abc import Callable
from typing import NoReturn

from k8gentai.agents.contract.events import Event, StepCompleted, StepStarted, TurnEnd, TurnFailed, Usage, size_of
from k8gentai.agents.contract.turn import TurnError
from k8gentai.agents.resources.agent import Limits


class BudgetExceededError(TurnError):
    """The turn has used up its budget."""

    code = "budget_exceeded"


class OutputLimitError(TurnError):
    """The turn writes more than it may."""

    code = "output_limit"


class JournalFullError(TurnError):
    """The turn has done more than its journal holds."""

    code = "journal_full"


_WRITTEN_ANYWAY = StepStarted, StepCompleted, Usage
"""What says how far a turn came, and is small."""


class Budget:
    """The budget of one attempt. What the record answers counts as it did when it was made.

    Args:
        limits: what the definition allows.
        halt: ends the attempt, whatever the agent makes of the error.
    """

    def __init__(self, limits: Limits, halt: Callable[[TurnEnd], None]) -> None:
        self._limits = limits
        self._halt = halt
        self._tokens = 0
        self._tool_calls = 0
        self._written = 0

    def use(self, usage: Usage) -> None:
        """Count the tokens of a model call that ended."""
        self._tokens += usage.input_tokens + usage.output_tokens

    def tokens_left(self) -> int | None:
        """Return what the turn may still use; None where there is no limit."""
        return None if self._limits.tokens is None else max(0, self._limits.tokens - self._tokens)

    def model_call(self) -> None:
        """A model call is about to be made.

        Raises:
            BudgetExceededError: there are no tokens left for it.
        """
        if self._limits.tokens is not None and self._tokens >= self._limits.tokens:
            used = f"the turn has used {self._tokens} tokens; its limit is {self._limits.tokens}"
            self._exceeded(BudgetExceededError(used))

    def tool_call(self) -> None:
        """A tool is about to be called.

        Raises:
            BudgetExceededError: the turn has made all the calls it may.
        """
        if self._tool_calls == self._limits.tool_calls:
            made = f"the turn has made the {self._tool_calls} tool calls that are its limit"
            self._exceeded(BudgetExceededError(made))
        self._tool_calls += 1

    def write(self, event: Event) -> bool:
        """Count an event. Returns whether the turn's stream may have it: where it may not, the turn ends."""
        self._written += size_of(event)
        if self._written <= self._limits.output_bytes or isinstance(event, _WRITTEN_ANYWAY):
            return True
        message = f"the turn has written more than the {self._limits.output_bytes} bytes that are its limit"
        self._halt(TurnFailed(code=OutputLimitError.code, message=message))
        return False

    def tool_result(self, size: int) -> None:
        """A tool came to its end, with a result of that many characters.

        Raises:
            OutputLimitError: the turn may not write it.
        """
        if self._written + size > self._limits.output_bytes:
            limit = f"the turn may write {self._limits.output_bytes} bytes, and has written {self._written}"
            self._exceeded(OutputLimitError(f"a tool's result has {size} characters; {limit}"))

    def unrecorded(self, what: str) -> NoReturn:
        """End a turn that goes on with something that cannot be recorded: run again, it would do that twice.

        Args:
            what: what that is.

        Raises:
            JournalFullError: always.
        """
        self._exceeded(JournalFullError(f"{what} (a turn's journal holds 16 MB, and this one is full)"))

    def _exceeded(self, error: TurnError) -> NoReturn:
        self._halt(TurnFailed(code=error.code, message=str(error)))
        raise error
