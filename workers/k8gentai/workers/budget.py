"""What one turn may use: a turn that wants more is ended, with an error that says of what."""

from collections.abc import Callable

from k8gentai.agents.definition import Limits
from k8gentai.agents.events import TurnEnd, TurnFailed, Usage
from k8gentai.agents.turn import TurnError


class BudgetExceededError(TurnError):
    """The turn has used up its budget."""

    code = "budget_exceeded"


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

    def use(self, usage: Usage) -> None:
        """Count the tokens of a model call that ended."""
        self._tokens += usage.input_tokens + usage.output_tokens

    def tokens_left(self) -> int | None:
        """What the turn may still use; None where there is no limit."""
        return None if self._limits.tokens is None else max(0, self._limits.tokens - self._tokens)

    def model_call(self) -> None:
        """A model call is about to be made.

        Raises:
            BudgetExceededError: there are no tokens left for it.
        """
        if self._limits.tokens is not None and self._tokens >= self._limits.tokens:
            self._exceeded(f"the turn has used {self._tokens} tokens; its limit is {self._limits.tokens}")

    def tool_call(self) -> None:
        """A tool is about to be called.

        Raises:
            BudgetExceededError: the turn has made all the calls it may.
        """
        if self._tool_calls == self._limits.tool_calls:
            self._exceeded(f"the turn has made the {self._tool_calls} tool calls that are its limit")
        self._tool_calls += 1

    def _exceeded(self, message: str) -> None:
        self._halt(TurnFailed(code=BudgetExceededError.code, message=message))
        raise BudgetExceededError(message)
