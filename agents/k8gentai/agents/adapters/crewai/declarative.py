"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from typing import Any

from crewai import LLM, Agent

from k8gentai.agents.context import AgentContext
from k8gentai.agents.definition import AgentDefinition


def build_agent(definition: AgentDefinition, context: AgentContext) -> Agent:
    """Build the agent for one turn: the request's parameters go before the definition's."""
    spec = definition.spec
    return Agent(
        role=spec.display_name or definition.id,
        goal=spec.description or "Answer the user.",
        backstory=spec.system_prompt or "",
        llm=_model(definition, context),
        max_iter=10_000,
    )


def _model(definition: AgentDefinition, context: AgentContext) -> Any:
    model, asked = definition.spec.model, context.parameters
    extra = {
        "tool_choice": _tool_choice(asked.get("tool_choice")) if context.tools else None,
        "parallel_tool_calls": asked.get("parallel_tool_calls") if context.tools else None,
        "reasoning_effort": (asked.get("reasoning") or {}).get("effort"),
        "response_format": _response_format((asked.get("text") or {}).get("format")),
    }
    return LLM(
        model=context.model.model or model.name or "",
        # Its name may look like another provider's; the gateway speaks OpenAI's language only.
        provider="openai",
        base_url=context.model.base_url,
        api_key=context.model.api_key,
        temperature=_first(asked.get("temperature"), model.temperature),
        top_p=_first(asked.get("top_p"), model.top_p),
        max_tokens=asked.get("max_output_tokens") or model.max_tokens,
        frequency_penalty=_first(asked.get("frequency_penalty"), model.frequency_penalty),
        presence_penalty=_first(asked.get("presence_penalty"), model.presence_penalty),
        additional_params={name: value for name, value in extra.items() if value is not None},
        # The gateway knows better when a call may be made again.
        max_retries=0,
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _tool_choice(asked: str | dict[str, Any] | None) -> Any:
    """A Responses API tool choice as chat completions takes it."""
    if isinstance(asked, dict) and asked.get("type") == "function":
        return {"type": "function", "function": {"name": asked["name"]}}
    return asked


def _response_format(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """A Responses API text format as chat completions takes it."""
    if not asked or asked.get("type") == "text":
        return None
    if asked.get("type") != "json_schema":
        return asked
    schema = {name: asked[name] for name in ("name", "description", "schema", "strict") if asked.get(name)}
    return {"type": "json_schema", "json_schema": schema}
