"""Asks people for an attempt, and steps aside while they decide.

An answer counts for the question that the person saw, by its id, name and arguments: a turn that is run again and
asks something else by the same id asks anew. A question without an answer never returns. The rest of the agent
goes on as far as it comes without one: other branches finish their model calls and tools, which are recorded. When
nothing goes on any more the turn is suspended, and the attempt is over. The turn that brings the answers runs the
agent again. A question that the agent stops waiting for meanwhile is withdrawn.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from k8gentai.agents.contract.events import Event, Interrupt, ItemDropped, request_item
from k8gentai.agents.contract.turn import Decision
from k8gentai.workers.queue.record import Answer

_QUIET_SECONDS = 0.1
"""The seconds in which nothing must go on. An agent that computes for longer is suspended in it, and computes
again."""


class Approvals:
    """The questions of one attempt.

    Args:
        answers: the decisions, by call id.
        publish: takes a call's id and the event that asks.
        busy: whether a model call or a tool is under way.
    """

    def __init__(
        self, answers: Mapping[str, Answer], publish: Callable[[str, Event], None], busy: Callable[[], bool]
    ) -> None:
        self._answers = answers
        self._publish = publish
        self._busy = busy
        self._asked = asyncio.Event()
        self._questions: Counter[str] = Counter()
        """The number of questions that wait for the decision about each call, by the call's id."""
        self._is_quiet = False
        """Whether the turn is about to be suspended with the questions that there are."""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def decision(self, call_id: str, name: str, arguments: str) -> Decision | None:
        """Return the decision about a call; None where there is none, or it is about something else by that id.

        Args:
            call_id: names the question.
            name: the name of the action that is to be approved.
            arguments: JSON text.
        """
        answer = self._answers.get(call_id)
        if answer is None or not answer.is_about(name, arguments):
            return None
        return Decision(answer.approve, answer.reason)

    @property
    def over(self) -> bool:
        """Whether nobody is asked any more, as the attempt is over."""
        return self._is_quiet or self._over.done()

    async def ask(self, call_id: str, name: str, arguments: str, waiting: Sequence[str] = ()) -> Decision:
        """Return the decision about a call, where there is one.

        Args:
            call_id: names the question.
            name: the name of the action that is to be approved.
            arguments: JSON text.
            waiting: the ids of the running tool calls that ask.

        Raises:
            asyncio.CancelledError: there is none, and the attempt is over.
        """
        if decision := self.decision(call_id, name, arguments):
            return decision
        if call_id not in self._questions:
            self._publish(
                call_id, Interrupt(call_id=call_id, name=name, arguments=arguments, waiting=list(waiting))
            )
        self._questions[call_id] += 1
        self._asked.set()
        try:
            await asyncio.shield(self._over)
        except asyncio.CancelledError:
            if not self.over:
                self._withdraw(call_id)
            raise
        raise asyncio.CancelledError

    def _withdraw(self, call_id: str) -> None:
        """Ask for one no more who waited for a decision, and nobody about a call for which none is left."""
        self._questions[call_id] -= 1
        if not self._questions[call_id]:
            del self._questions[call_id]
            self._publish(call_id, ItemDropped(item_id=request_item(call_id)))
        if not self._questions:
            self._asked.clear()

    async def quiet(self) -> None:
        """Wait until something was asked and nothing else goes on. The questions stand from then on: one that is
        left is not withdrawn."""
        known = -1
        while not self._questions or self._busy() or known != len(self._questions):
            await self._asked.wait()
            known = len(self._questions)
            await asyncio.sleep(_QUIET_SECONDS)
        self._is_quiet = True

    def close(self) -> None:
        """Let go of what waits: code in a thread may wait on a question of a turn that is over."""
        if not self._over.done():
            self._over.set_result(None)
