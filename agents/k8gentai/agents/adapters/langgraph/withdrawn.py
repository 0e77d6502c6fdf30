"""Learns of the tool calls that a graph withdraws: it takes their message out of its conversation, or puts another
in its place, as hooks after the model and ``create_react_agent`` at its limit do. No tool runs for those."""

from collections.abc import Iterable
from typing import Any

from langchain_core.messages import AIMessage

from k8gentai.agents.adapters.langgraph.answers import messages_of


class WithdrawnCalls:
    """Holds the tool calls of models against the conversation that a graph ends with.

    A call whose message never came into a conversation is not known to be withdrawn: code that asks a model and
    runs a function by itself keeps that message, too.
    """

    def __init__(self) -> None:
        self._made: dict[str, set[str]] = {}
        """The calls of each message, by the message's id."""
        self._last: dict[tuple[str, ...], list[AIMessage]] = {}
        """The models' messages of each graph's state, by the graph's namespace."""
        self._seen: set[str] = set()
        """The messages that were in a state, by their ids."""

    def made(self, message: AIMessage) -> None:
        """Take a model's answer. From any thread."""
        if message.id and message.tool_calls:
            self._made[message.id] = _calls([message])

    def take(self, namespace: tuple[str, ...], state: Any) -> None:
        """Take the state of the graph or of one of its subgraphs."""
        said = [message for message in messages_of(state) if isinstance(message, AIMessage)]
        self._last[namespace] = said
        self._seen.update(message.id for message in said if message.id)

    def ids(self) -> set[str]:
        """Return the ids of the calls that no conversation has any more."""
        kept = _calls(message for said in self._last.values() for message in said)
        made = [calls for message_id, calls in tuple(self._made.items()) if message_id in self._seen]
        return {call_id for calls in made for call_id in calls} - kept


def _calls(messages: Iterable[AIMessage]) -> set[str]:
    return {call["id"] for message in messages for call in message.tool_calls if call["id"]}
