"""An agent of LangGraph whose middleware changes what its tool runs with."""

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.documents import Document
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.types import interrupt

from k8gentai.stack.conformance import tools


@wrap_tool_call
async def _change(request: Any, handler: Any) -> Any:
    call = request.tool_call
    if call["args"]["line"] != "changing":
        return await handler(request)
    return await handler(request.override(tool_call={**call, "args": {**call["args"], "line": "changed"}}))


@wrap_tool_call
async def _review(request: Any, handler: Any) -> Any:
    result = await handler(request)
    kept = interrupt({"question": "Keep it?"}) == "yes"
    result.content = f"kept: {result.artifact[0].page_content}" if kept else "withheld"
    return result


@tool("write", response_format="content_and_artifact")
def _note(path: str, line: str) -> tuple[str, list[Document]]:
    """Add a line to a file, and return a document of it."""
    return "noted", [Document(tools.write(path, line))]


reviewing = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[_note], middleware=[_review])
_writer = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[tools.write])


@tool
async def ask_writer(question: str) -> str:
    """Ask the writer."""
    said = await _writer.ainvoke({"messages": question})
    return str(said["messages"][-1].text)


consulting = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[ask_writer])
hooked = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[tools.write], middleware=[_change])
