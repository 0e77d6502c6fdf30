"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.pregel import Pregel
from pydantic import SecretStr

from k8gentai.agents.context import AgentContext
from k8gentai.agents.definition import AgentDefinition
from k8gentai.agents.turn import DeclaredTool


def build_graph(definition: AgentDefinition, context: AgentContext) -> Pregel[Any, Any, Any, Any]:
    """Build the agent for one turn: the request's parameters go before the definition's."""
    return create_agent(
        _model(definition, context),
        # Those of the request are schemas: known to the model, and run by nobody here.
        tools=[*context.tools, *map(_bound, context.declared)],
        system_prompt=definition.spec.system_prompt,
        middleware=[_Choice(context)] if context.tools or context.declared else [],
        name=definition.id,
    )


def _bound(tool: DeclaredTool) -> StructuredTool:
    """A tool in LangChain's terms; the graph's tool node brings its calls to the boundary."""

    async def call(**arguments: Any) -> str:
        return await tool.call(arguments)

    return StructuredTool(
        name=tool.name, description=tool.description, args_schema=tool.parameters, coroutine=call
    )


def _model(definition: AgentDefinition, context: AgentContext) -> ChatOpenAI:
    model, asked = definition.spec.model, context.parameters
    # Beside ChatOpenAI's own fields, as it would rename some and parse the answer of others.
    extra = {
        "max_tokens": asked.get("max_output_tokens") or model.max_tokens,
        "reasoning_effort": (asked.get("reasoning") or {}).get("effort"),
        "response_format": _response_format((asked.get("text") or {}).get("format")),
    }
    return ChatOpenAI(
        model=context.model.model or model.name or "",
        base_url=context.model.base_url,
        api_key=SecretStr(context.model.api_key),
        temperature=_first(asked.get("temperature"), model.temperature),
        top_p=_first(asked.get("top_p"), model.top_p),
        frequency_penalty=_first(asked.get("frequency_penalty"), model.frequency_penalty),
        presence_penalty=_first(asked.get("presence_penalty"), model.presence_penalty),
        extra_body={name: value for name, value in extra.items() if value is not None} or None,
        # The gateway knows better when a call may be made again.
        max_retries=0,
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _response_format(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """A Responses API text format as chat completions takes it."""
    if not asked or asked.get("type") == "text":
        return None
    if asked.get("type") != "json_schema":
        return asked
    schema = {name: asked[name] for name in ("name", "description", "schema", "strict") if asked.get(name)}
    return {"type": "json_schema", "json_schema": schema}


class _Choice(AgentMiddleware[Any, Any]):
    """Hands the request's choice among its tools to the model."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__()
        self._choice = _tool_choice(context.parameters.get("tool_choice"))
        parallel = context.parameters.get("parallel_tool_calls")
        self._settings = {} if parallel is None else {"parallel_tool_calls": parallel}

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Pass a model call on, with the choice."""
        settings = {**request.model_settings, **self._settings}
        return await handler(request.override(tool_choice=self._choice, model_settings=settings))


def _tool_choice(asked: str | dict[str, Any] | None) -> Any:
    """A Responses API tool choice as chat completions takes it."""
    if isinstance(asked, dict) and asked.get("type") == "function":
        return {"type": "function", "function": {"name": asked["name"]}}
    return asked
