"""Follows the turns of AG2's agents: whatever has an agent take one opens it in the same place."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial, wraps
from typing import Any

from ag2 import Agent
from ag2.agent import AgentReply
from ag2.context import ConversationContext
from ag2.events import BaseEvent, ModelResponse, ToolResultEvent, ToolResultsEvent

from k8gentai.agents.adapters.ag2.answers import Answers, current_answers
from k8gentai.agents.adapters.ag2.helpers import current_helpers
from k8gentai.agents.adapters.ag2.models import Follower
from k8gentai.agents.adapters.ag2.run import TurnRun, current_call, current_run
from k8gentai.agents.adapters.ag2.shown_results import take_result
from k8gentai.agents.adapters.ag2.tools import encoder_of
from k8gentai.agents.adapters.base.inner_calls import making_calls

Drive = Callable[[], Awaitable[AgentReply[Any, Any]]]
"""Has an agent take the turn that was opened."""

Opened = AbstractAsyncContextManager[Drive]


def follow_turns() -> None:
    """Have every turn of an agent followed that belongs to a turn of ours."""
    agent: Any = Agent
    agent._drive_scope = _followed(agent._drive_scope)


def _followed(open_turn: Callable[..., Opened]) -> Callable[..., Opened]:
    @wraps(open_turn)
    def followed(self: Agent, event: BaseEvent, *, additional_middleware: Any = (), **options: Any) -> Opened:
        run = current_run.get()
        if run is None:
            return open_turn(self, event, additional_middleware=additional_middleware, **options)
        answers = Answers(run, shown=current_call.get() is None and current_answers.get() is None)
        follower = partial(Follower, agent=self, run=run, answers=answers)
        opened = open_turn(self, event, additional_middleware=(*additional_middleware, follower), **options)
        return _heard(opened, options["context"], self, run, answers)

    return followed


@asynccontextmanager
async def _heard(
    opened: Opened, context: ConversationContext, agent: Agent, run: TurnRun, answers: Answers
) -> AsyncIterator[Drive]:
    """Take what comes of the answers and calls of an agent's turn, before anything of AG2's does."""

    encode = encoder_of(agent)

    async def hear(event: BaseEvent) -> None:
        match event:
            case ModelResponse():
                answers.answer(event)
            case ToolResultEvent():
                take_result(run, encode, event)
            case ToolResultsEvent():
                for result in event.results:
                    take_result(run, encode, result)

    with context.stream.where(ModelResponse | ToolResultEvent | ToolResultsEvent).sub_scope(hear):
        async with opened as drive:
            yield partial(_drive, drive, answers)


async def _drive(drive: Drive, answers: Answers) -> AgentReply[Any, Any]:
    token = current_answers.set(answers)
    helpers = current_helpers.set(answers.helpers)
    try:
        # What middleware and policies ask a model by themselves, they read by themselves.
        with making_calls(inner=True):
            reply = await drive()
    except BaseException as error:
        answers.fail(error)
        raise
    finally:
        current_answers.reset(token)
        current_helpers.reset(helpers)
    answers.finish(reply.response)
    return reply
