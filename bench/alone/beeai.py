"""BeeAI alone. A turn has a memory of its own: an agent's would hold all the others' words, too.

As in a worker, plain words are an answer: the scripted model knows no ``final_answer``, and BeeAI would ask it
three times more.
"""

from copy import copy
from functools import partial
from typing import Any

from beeai_framework.adapters.litellm import chat
from beeai_framework.backend import ChatModel
from beeai_framework.memory import UnconstrainedMemory

from bench import alone
from bench.turns import QUESTION
from tests.conformance.agents.beeai import agents


async def turn(agent: Any) -> str:
    own = copy(agent)
    own.memory = UnconstrainedMemory()
    return str((await own.run(QUESTION)).last_message.text)


if __name__ == "__main__":
    ChatModel._assert_tool_response = lambda *_, **__: None
    # With tools, LiteLLM would look for an MCP gateway in a package that our lock does not have.
    chat.acompletion = partial(chat.acompletion, _skip_mcp_handler=True)
    alone.run(turn, agents)
