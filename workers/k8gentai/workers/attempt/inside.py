"""What the code that answers a tool call does meanwhile: tool calls and model calls of its own.

Once the call is answered from the journal, that code does not run, and what it did counts all the same: its calls
stay shown, and the turn's limits hold as they did.
"""

from pydantic import BaseModel

from k8gentai.agents.contract.events import Usage
from k8gentai.agents.text.utf8 import Text


class Inside(BaseModel):
    """What was done inside one tool call, however deep."""

    calls: list[Text] = []
    """The ids of the tool calls, as they were shown, and of what people were asked."""
    counted: int = 0
    """How many of them count for the turn's limits."""
    model_calls: int = 0
    usage: list[Usage] = []
    """What was used of models, by those calls and by agents that were asked as tools."""

    @property
    def tokens(self) -> int:
        """How many tokens that were, read and written."""
        return sum(each.input_tokens + each.output_tokens for each in self.usage)

    def add(self, other: "Inside") -> None:
        """Count what was done deeper inside."""
        self.calls.extend(other.calls)
        self.counted += other.counted
        self.model_calls += other.model_calls
        self.usage.extend(other.usage)


class Insides:
    """What is done inside each of an attempt's tool calls that are under way."""

    def __init__(self) -> None:
        self._chains: dict[str, tuple[Inside, ...]] = {}

    def open(self, key: str, around: str, inside: Inside) -> None:
        """Begin a call.

        Args:
            key: the call, as the journal has it.
            around: the call inside which it is made, empty where it is inside none.
            inside: takes what is done inside it.
        """
        self._chains[key] = (inside, *self._chains.get(around, ()))

    def close(self, key: str) -> None:
        """End a call. What its code left behind counts for it no more."""
        self._chains.pop(key, None)

    def add(self, around: str, done: Inside) -> None:
        """Count what was done inside a call, and so inside those around it.

        Args:
            around: the call, as the journal has it; empty for none.
            done: what was done.
        """
        for inside in self._chains.get(around, ()):
            inside.add(done)
