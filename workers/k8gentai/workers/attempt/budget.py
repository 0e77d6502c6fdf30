"""The limits of one turn: a turn that wants more is ended, with an error that says of what."""

from collections.abc import Callable
from typing import NoReturn

from k8gentai.agents.contract.events import Event, StepCompleted, StepStarted, TurnEnd, TurnFailed, Usage, size_of
from k8gentai.agents.contract.turn import StepLimitReached, TurnError
from k8gentai.agents.resources.agent import Limits
from k8gentai.workers.attempt.inside import Inside, Insides


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
"""Events that say how far a turn came. They are small, and published whatever the turn has written."""


class Budget:
    """The budget of one attempt. Calls answered from the journal are charged as when they were made, with what
    was done inside them.

    The argument ``around`` of its methods is the tool call inside which something is done, as the journal has it;
    empty where it is inside none.

    Args:
        limits: the limits that the definition sets.
        halt: ends the attempt, whatever the agent makes of the error.
    """

    def __init__(self, limits: Limits, halt: Callable[[TurnEnd], None]) -> None:
        self._limits = limits
        self._halt = halt
        self._tokens = 0
        self._model_calls = 0
        self._tool_calls = 0
        self._written = 0
        self.insides = Insides()
        """The calls and tokens inside tool calls."""

    def use(self, usage: Usage, around: str = "") -> None:
        """Count the tokens of a model call that ended."""
        self._tokens += usage.input_tokens + usage.output_tokens
        self.insides.add(around, Inside(usage=[usage]))

    def tokens_left(self) -> int | None:
        """Return what the turn may still use; None where there is no limit."""
        return None if self._limits.tokens is None else max(0, self._limits.tokens - self._tokens)

    def model_call(self, around: str = "") -> None:
        """Count a model call that is about to be made.

        Raises:
            StepLimitReached: the turn has made as many as it may.
            BudgetExceededError: there are no tokens left for it.
        """
        if self._model_calls >= self._limits.steps:
            raise StepLimitReached(self._limits.steps)
        self.check_tokens()
        self._model_calls += 1
        self.insides.add(around, Inside(model_calls=1))

    def check_tokens(self) -> None:
        """Check that a model may be called.

        Raises:
            BudgetExceededError: there are no tokens left for it.
        """
        if self._limits.tokens is not None and self._tokens >= self._limits.tokens:
            used = f"the turn has used {self._tokens} tokens; its limit is {self._limits.tokens}"
            self._exceeded(BudgetExceededError(used))

    def tool_call(self) -> None:
        """Count a tool call that is about to be made.

        Raises:
            BudgetExceededError: the turn has made all the calls it may.
        """
        if self._tool_calls == self._limits.tool_calls:
            made = f"the turn has made the {self._tool_calls} tool calls that are its limit"
            self._exceeded(BudgetExceededError(made))
        self._tool_calls += 1

    def answered(self, inside: Inside, around: str = "") -> None:
        """Charge what was done inside a call that is answered from the journal. It fitted when it was done."""
        self._tokens += inside.tokens
        self._model_calls += inside.model_calls
        self._tool_calls += inside.counted
        self.insides.add(around, inside)

    def write(self, event: Event) -> bool:
        """Count an event. Returns whether the turn's stream may have it: where it may not, the turn ends."""
        self._written += size_of(event)
        if self._written <= self._limits.output_bytes or isinstance(event, _WRITTEN_ANYWAY):
            return True
        message = f"the turn has written more than the {self._limits.output_bytes} bytes that are its limit"
        self._halt(TurnFailed(code=OutputLimitError.code, message=message))
        return False

    def tool_result(self, size: int) -> None:
        """Count a tool that came to its end, with a result of that many characters.

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
