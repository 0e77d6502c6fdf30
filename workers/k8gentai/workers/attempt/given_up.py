"""Calls that the agent gives up: it stops waiting for one, as by a time-out of its own, and goes another way.

What it does then rests on not having had an answer in that time. When the turn is run again, the call is held, so
that the agent gives it up again and takes the same way. How long its time-out was is not known, as that may be of
more than this call: it began with the attempt at the earliest, and what was recorded since takes no time any more.
"""

import asyncio

from pydantic import BaseModel

from k8gentai.agents.text.utf8 import JsonObject, Text

_LONGER = 1.5
_MORE_SECONDS = 5.0
"""A process that has much to do counts time slowly."""


class GivenUp(BaseModel):
    """That the agent stopped waiting for a call."""

    seconds: float
    """The seconds that it had waited."""
    since_begin: float = 0.0
    """The seconds that the attempt had run."""
    chunks: list[JsonObject] = []
    """The part of a model's answer that it was shown before."""
    turn_id: Text = ""
    """The turn that recorded it."""
    tools_begun: int = 0
    """The number of tool calls that had begun."""
    tools_done: int = 0
    """The number of tool calls that had come to their ends."""

    async def hold(self) -> None:
        """Wait for longer than the agent can have waited. One that gives the call up again cancels this."""
        await asyncio.sleep(max(self.seconds, self.since_begin) * _LONGER + _MORE_SECONDS)
