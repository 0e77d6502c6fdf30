"""Hooks into AG2, set once a process: AG2's own code runs as before, and the agents of a turn are followed."""

from dataclasses import replace
from functools import wraps
from typing import Any

from ag2.annotations import ContextField
from ag2.config import OpenAIConfig
from ag2.context import ConversationContext
from ag2.events import HumanInputRequest

from k8gentai.agents.adapters.ag2.admitted_calls import hook_tools
from k8gentai.agents.adapters.ag2.agent_turns import follow_turns
from k8gentai.agents.adapters.ag2.context_changes import follow_inboxes
from k8gentai.agents.adapters.ag2.direct_calls import hook_models
from k8gentai.agents.adapters.ag2.helpers import follow_helpers
from k8gentai.agents.adapters.ag2.http_clients import shared_client
from k8gentai.agents.adapters.ag2.human_input import answer
from k8gentai.agents.adapters.ag2.networks import follow_networks
from k8gentai.agents.adapters.ag2.run import current_run


def follow_agents() -> None:
    """Have every agent followed, every model streamed and every question asked by the turn."""
    create = OpenAIConfig.create
    ask = ConversationContext.ask
    give = ContextField.use

    @wraps(create)
    def created(self: OpenAIConfig) -> Any:
        if current_run.get() is None:
            return create(self)
        return create(replace(self, streaming=True, http_client=self.http_client or shared_client()))

    @wraps(ask)
    async def asked(self: ConversationContext, request: HumanInputRequest) -> str:
        run = current_run.get()
        return await (ask(self, request) if run is None else answer(run, request))

    async def use(self: ContextField, /, **kwargs: Any) -> dict[str, Any]:
        return give(self, **kwargs)

    OpenAIConfig.create = created
    ConversationContext.ask = asked
    # A function that is not async goes to a thread, and this one is called for every token.
    ContextField.use = use
    hook_models()
    follow_inboxes()
    follow_helpers()
    follow_turns()
    follow_networks()
    hook_tools()
