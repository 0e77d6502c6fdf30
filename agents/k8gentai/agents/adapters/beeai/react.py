"""Reads the answer out of what a ``ReActAgent`` has its model write: ``Thought: …``, ``Function Name: …``,
``Final Answer: …``. The agent's own parser says what is what."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from beeai_framework.agents.react.runners.default.runner import DefaultRunner
from beeai_framework.agents.react.runners.granite.runner import GraniteRunner
from beeai_framework.context import RunContext
from beeai_framework.parsers.line_prefix import LinePrefixParser, LinePrefixParserError

_PARSER = "k8gentai_parser"
"""The key under which the context of an agent's run keeps a parser for its next model call."""


class ReActText:
    """The text of one model call.

    Args:
        parser: a new one, as the agent reads the text by.
    """

    def __init__(self, parser: LinePrefixParser) -> None:
        self._parser = parser
        self._published = 0

    async def add(self, text: str) -> str:
        """Take a piece of the text. Returns what is new of the answer."""
        try:
            await self._parser.add(text)
        except LinePrefixParserError:
            # The agent will ask again.
            return ""
        answer = self._parser.partial_state.get("final_answer", "")
        new, self._published = answer[self._published :], len(answer)
        return new

    async def end(self) -> str:
        """Return the answer, once the text is whole; empty where it is none."""
        try:
            read = await self._parser.end()
        except LinePrefixParserError:
            return ""
        calls = read.get("tool_name") and read.get("tool_input") is not None
        return "" if calls else str(read.get("final_answer") or "")


def follow_react_agents() -> None:
    """Have the runs of such agents keep a parser. Call once."""
    for runner in (DefaultRunner, GraniteRunner):
        runner._create_parser = _kept(runner._create_parser)


def react_text(agents: RunContext | None) -> ReActText | None:
    """Return what reads the next model call of an agent; None where that is no ``ReActAgent``.

    Args:
        agents: the context of the agent's run.
    """
    parser = getattr(agents, _PARSER, None)
    return None if parser is None else ReActText(parser)


def _kept(create: Callable[[Any], LinePrefixParser]) -> Callable[[Any], LinePrefixParser]:
    @wraps(create)
    def created(self: DefaultRunner) -> LinePrefixParser:
        setattr(self._run, _PARSER, create(self))
        return create(self)

    return created
