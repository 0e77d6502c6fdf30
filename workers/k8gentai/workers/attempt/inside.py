"""Counts the tool calls and model calls that the code of a tool call makes meanwhile.

Once the call is answered from the journal, that code does not run, and what it did counts all the same: its calls
stay shown, and the turn's limits hold as they did.
"""

from pydantic import BaseModel

from k8gentai.agents.contract.events import Usage
from k8gentai.agents.text.utf8 import Text


class Inside(BaseModel):
    """The calls and tokens inside one tool call, however deep."""

    calls: list[Text] = []
    """The ids of the tool calls, as they were shown, and of what people were asked."""
    counted: int = 0
    """The number of them that count for the turn's limits."""
    model_calls: int = 0
    usage: list[Usage] = []
    """The tokens of models, used by those calls and by agents that were asked as tools."""

    @property
    def tokens(self) -> int:
        """The number of those tokens, read and written."""
        return sum(each.input_tokens + each.output_tokens for each in self.usage)

    def add(self, other: "Inside") -> None:
        """Count what was done deeper inside."""
        known = set(self.calls)
        self.calls.extend(call_id for call_id in other.calls if call_id not in known)
        self.counted += other.counted
        self.model_calls += other.model_calls
        self.usage.extend(other.usage)

    def copy_of(self) -> "Inside":
        """Return what was done so far."""
        return self.model_copy(deep=True)


def keep_none(inside: Inside) -> None:
    """Take what was done inside a call that is answered from the journal, where nothing was published of it."""


class Insides:
    """The calls and tokens inside each of an attempt's tool calls. Work that a call left running counts for the
    calls around it."""

    def __init__(self) -> None:
        self._open: dict[str, Inside] = {}
        self._around: dict[str, tuple[Inside, ...]] = {}
        """The records that count what is done inside a call: its own first, then those of the calls around it that
        are open."""

    def open(self, key: str, around: str, inside: Inside) -> None:
        """Begin a call.

        Args:
            key: the call, as the journal has it.
            around: the call inside which it is made, empty where it is inside none.
            inside: takes what is done inside it.
        """
        self._open[key] = inside
        self._around[key] = (inside, *self._around.get(around, ()))

    def close(self, key: str) -> None:
        """End a call. What its code left running counts for it no more, and still for those around it."""
        ended = self._open.pop(key, None)
        left = {call: tuple(each for each in chain if each is not ended) for call, chain in self._around.items()}
        self._around = {call: chain for call, chain in left.items() if chain}

    def add(self, around: str, done: Inside) -> None:
        """Count what was done inside a call, and so inside those around it.

        Args:
            around: the call, as the journal has it; empty for none.
            done: the calls and tokens.
        """
        for inside in self._around.get(around, ()):
            inside.add(done)
