"""An agent of LangGraph whose middleware changes what its tool runs with."""

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_openai import ChatOpenAI

from k8gentai.stack.conformance import tools


@wrap_tool_call
async def _change(request: Any, handler: Any) -> Any:
    call = request.tool_call
    if call["args"]["line"] != "changing":
        return await handler(request)
    return await handler(request.override(tool_call={**call, "args": {**call["args"], "line": "changed"}}))


hooked = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[tools.write], middleware=[_change])
