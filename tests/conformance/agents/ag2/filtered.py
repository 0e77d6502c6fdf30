"""An agent whose middleware changes what its model says and refuses what it calls, as AG2 documents it."""

from typing import Any

from ag2 import Agent
from ag2.config import OpenAIConfig
from ag2.events import ModelMessage, ModelResponse, ToolCallEvent, ToolErrorEvent, ToolResultEvent
from ag2.middleware import BaseMiddleware, Middleware

from k8gentai.stack.conformance import tools

_config = OpenAIConfig("gpt-4.1-mini")
_tried: set[str] = set()


def flaky(key: str) -> str:
    """Fail the first time."""
    if key in _tried:
        return "fine now"
    _tried.add(key)
    raise RuntimeError("the first time")


class Guard(BaseMiddleware):
    """Looks at what the model says and calls."""

    async def on_turn(self, call_next: Any, event: Any, context: Any) -> Any:
        """Put another ending in an answer's place."""
        response = await call_next(event, context)
        if response.content == "Take it again.":
            response = await call_next(event, context)
        if response.content == "Bye.":
            return ModelResponse(ModelMessage("Goodbye."))
        return response

    async def on_llm_call(self, call_next: Any, events: Any, context: Any) -> Any:
        """Take numbers of cards out, have drafts said again, and take calls of ``fail`` out."""
        response = await call_next(events, context)
        while (response.content or "").startswith("Draft"):
            response = await call_next(events, context)
        if any(call.name == "fail" for call in response.tool_calls.calls):
            return ModelResponse(ModelMessage("I will not."))
        if response.message is not None:
            response.message = ModelMessage(response.message.content.replace("4111", "****"))
        return response

    async def on_tool_execution(self, call_next: Any, event: Any, context: Any) -> Any:
        """Refuse to write, try again what failed, put a word before a product, and see to what the client does."""
        if event.name == "locate" and event.serialized_arguments["who"] == "me":
            return ToolResultEvent.from_call(event, "not allowed")
        if event.name == "locate":
            event = ToolCallEvent(id=event.id, name=event.name, arguments='{"who": "nobody"}')
        if event.name == "write" and event.serialized_arguments["line"] == "secret":
            raise PermissionError("no secrets")
        if event.name == "write":
            return ToolResultEvent.from_call(event, "blocked by policy")
        result = await call_next(event, context)
        if event.name == "multiply":
            return ToolResultEvent.from_call(event, f"product: {result.result.parts[0].data:g}")
        return await call_next(event, context) if isinstance(result, ToolErrorEvent) else result


filtered = Agent(
    "clerk",
    config=_config,
    tools=[tools.add, tools.multiply, tools.write, tools.fail, flaky],
    middleware=[Middleware(Guard)],
)

_judge = Agent("judge", config=_config)


class Judging(BaseMiddleware):
    """Has another agent look at what the model says."""

    async def on_llm_call(self, call_next: Any, events: Any, context: Any) -> Any:
        """Replace what the judge does not like."""
        response = await call_next(events, context)
        judged = await _judge.ask(str(response.content))
        return response if judged.body == "Fine." else ModelResponse(ModelMessage("I cannot say."))


judged = Agent("speaker", config=_config, middleware=[Middleware(Judging)])
