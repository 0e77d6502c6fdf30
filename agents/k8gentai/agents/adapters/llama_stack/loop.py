"""Llama Stack's own Responses loop, run for one turn with our model calls and tool boundary in it."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import Any

import httpx
from llama_stack.core.datatypes import AuthenticationRequiredError
from llama_stack.providers.inline.responses.builtin.responses.streaming import StreamingResponseOrchestrator
from llama_stack.providers.inline.responses.builtin.responses.types import ChatCompletionContext, ToolContext
from llama_stack.providers.inline.responses.builtin.responses.utils import (
    convert_response_input_to_chat_messages,
    extract_guardrail_ids,
    run_guardrails,
)
from llama_stack_api import (
    CreateResponseRequest,
    OpenAIResponseFormatParam,
    OpenAIResponseInputToolMCP,
    OpenAIResponseText,
    OpenAIResponseTextFormat,
    OpenAISystemMessageParam,
)
from pydantic import TypeAdapter

from k8gentai.agents.adapters.base.parameters import response_format
from k8gentai.agents.adapters.llama_stack.choice import allows, check_choice, on_client
from k8gentai.agents.adapters.llama_stack.files import InputFiles
from k8gentai.agents.adapters.llama_stack.guardrails import Guardrails, told
from k8gentai.agents.adapters.llama_stack.mcp_sessions import McpSessions
from k8gentai.agents.adapters.llama_stack.models import ModelCallError, ModelCalls
from k8gentai.agents.adapters.llama_stack.searches import SEARCHES
from k8gentai.agents.adapters.llama_stack.tools import OWN_URL, BoundaryToolExecutor
from k8gentai.agents.adapters.llama_stack.translation import DecidedCall, Translator
from k8gentai.agents.contract.events import Event, TurnIncomplete
from k8gentai.agents.contract.turn import DeclaredTool, RequestError, StepLimitReached, TurnContext
from k8gentai.agents.text.http_address import with_shown_addresses
from k8gentai.agents.tools.mcp_sessions import McpServerError, McpUnauthorizedError, first_error

_FORMAT: TypeAdapter[Any] = TypeAdapter(OpenAIResponseFormatParam)


class _Loop(StreamingResponseOrchestrator):  # type: ignore[misc]
    """The loop, telling what it decided about each answer's tool calls before it runs any.

    Args:
        translator: is told.
        declared: the agent's own tools.
        own: the server that they seem to be on.
        names: the tools that the client runs, as :func:`on_client` gives them.
        guardrails: judge what the model is told, and what it says.
        parts: the parts that the loop itself takes.
    """

    def __init__(
        self,
        translator: Translator,
        declared: Sequence[DeclaredTool],
        own: OpenAIResponseInputToolMCP,
        names: AbstractSet[str] | None,
        guardrails: Guardrails,
        **parts: Any,
    ) -> None:
        super().__init__(safety_api=guardrails, **parts)
        self._guardrails = guardrails
        self._translator = translator
        self._declared = declared
        self._own = own
        self._names = names
        for tool in declared:
            self.mcp_tool_to_server[tool.name] = own
            self.server_label_to_tools.setdefault(own.server_label, []).append(tool.name)

    async def create_response(self) -> AsyncGenerator[Any]:
        # The loop's own judging of the input knows messages of plain text only.
        reason = await run_guardrails(self._guardrails, told(self.ctx.messages), self._guardrails.names)
        if reason:
            yield await self._create_refusal_response(reason)
            return
        async with aclosing(super().create_response()) as stream:
            async for event in stream:
                yield event

    async def _process_tools(self, output_messages: list[Any]) -> AsyncIterator[Any]:
        self.guardrail_ids = self._guardrails.names
        async for event in super()._process_tools(output_messages):
            yield event
        shown = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in self._declared
        ]
        if shown:
            self.ctx.chat_tools = [
                *(self.ctx.chat_tools or []),
                *({"type": "function", "function": function} for function in shown),
            ]
        check_choice(self.ctx.tool_choice, self.ctx.chat_tools or [])

    def _approval_required(self, tool_name: str) -> bool:
        # The boundary asks: its question outlives this process, and its answer need not come through the model.
        return False

    async def _create_refusal_response(self, violation_message: str) -> Any:
        self._translator.blocked(violation_message)
        return await super()._create_refusal_response(violation_message)

    def _separate_tool_calls(
        self, current_response: Any, messages: list[Any], reasoning_content: str | None = None
    ) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        self._take_unknown(current_response)
        decision = super()._separate_tool_calls(current_response, messages, reasoning_content)
        on_client, on_server, _approvals, _messages = decision
        if self.max_tool_calls is not None:
            # The loop skips what exceeds the limit, and tells the model so.
            left = max(0, self.max_tool_calls - self.accumulated_builtin_tool_calls)
            for call in on_server[left:]:
                self.tool_executor.skip(call.id)
            on_server = on_server[:left]
        decided = {id(call): DecidedCall(call, None) for call in on_client}
        for call in on_server:
            decided[id(call)] = self._on_server(call)
        as_written = [c for choice in current_response.choices for c in choice.message.tool_calls or []]
        calls = [decided[id(call)] for call in as_written if id(call) in decided]
        self._translator.model_answered(calls, self.citation_files)
        return decision  # type: ignore[no-any-return]

    def _on_server(self, call: Any) -> DecidedCall:
        server = self.mcp_tool_to_server.get(call.function.name)
        if server is None:
            return DecidedCall(call, "", SEARCHES[call.function.name])
        return DecidedCall(call, server.server_label)

    def _take_unknown(self, current_response: Any) -> None:
        """Have calls of tools that are not there, or not allowed, come to our executor, which says so."""
        if self._names is None:
            return
        for choice in current_response.choices:
            for call in choice.message.tool_calls or []:
                name = call.function.name
                server = self.mcp_tool_to_server.get(name)
                if name in self._names or server is self._own:
                    continue
                there = server is not None or name in SEARCHES
                if not there or not allows(self.ctx.tool_choice, name, server and server.server_label):
                    self.mcp_tool_to_server[name] = self._own


async def run_loop(
    agent: str,
    request: CreateResponseRequest,
    context: TurnContext,
    client: httpx.AsyncClient,
    emit: Callable[[Event], None],
    published: Callable[[], Awaitable[None]],
) -> None:
    """Run one turn to its end.

    Args:
        agent: the agent whose turn it is.
        request: the request to run, with the whole history as its input.
        context: the turn's model endpoint, tools and limits.
        client: the HTTP client for model calls.
        emit: takes the turn's events, in order.
        published: waits until every event emitted so far was taken.

    Raises:
        ModelCallError: the model could not be called, or failed in its answer.
        McpServerError: an MCP server did not list its tools.
        RequestError: the request wants a tool called that is not there.
        StepLimitReached: after ``context.max_steps`` model calls, unless the request asked for fewer.
        Exception: what the tool boundary raised.
    """
    cites = any(tool.type == "file_search" for tool in request.tools or ())
    names = on_client(request, context)
    by_client = (lambda _: bool(request.tools)) if names is None else names.__contains__
    translator = Translator(emit, by_client, cites=cites)
    guardrails = Guardrails(context.stack, extract_guardrail_ids(request.guardrails))
    calls = ModelCalls(client, context.model, translator.model_called)
    ending: Any = None
    async with McpSessions() as sessions:
        tools = BoundaryToolExecutor(context.tools, context.stack, context.declared, sessions, published)
        loop = await _build(agent, request, context, calls, tools, guardrails, translator)
        try:
            async with aclosing(loop.create_response()) as stream:
                async for event in stream:
                    translator.take(event)
                    ending = event
        except RequestError:
            raise
        except Exception as error:
            # Past its first model call the loop makes a failed response of every error; before, it asks guardrails
            # and then the MCP servers for their tools.
            if calls.count or guardrails.fault or not (servers := _mcp_servers(request)):
                raise
            raise _no_tools(servers, first_error(error)) from error
        finally:
            await calls.aclose()
    _end(request, context, calls, tools.fault or guardrails.fault, ending, emit)


async def _build(
    agent: str,
    request: CreateResponseRequest,
    context: TurnContext,
    calls: ModelCalls,
    tools: BoundaryToolExecutor,
    guardrails: Guardrails,
    translator: Translator,
) -> _Loop:
    """Return the loop with its parts, as ``OpenAIResponsesImpl`` puts them together where nothing is stored."""
    files = InputFiles(context.stack)
    messages = await convert_response_input_to_chat_messages(request.input, files_api=files)
    if request.instructions:
        messages.insert(0, OpenAISystemMessageParam(content=request.instructions))
    # The loop runs calls of a server's tools, and leaves others to the client.
    own = OpenAIResponseInputToolMCP(server_label=agent, server_url=OWN_URL, require_approval="never")
    text = request.text or OpenAIResponseText(format=OpenAIResponseTextFormat(type="text"))
    chat = ChatCompletionContext(
        model=request.model,
        messages=messages,
        # Without any it would leave a call of the model's out.
        response_tools=[*(request.tools or []), *([own] if context.declared or not request.tools else [])],
        tool_choice=request.tool_choice,
        temperature=request.temperature,
        top_p=request.top_p,
        frequency_penalty=request.frequency_penalty,
        response_format=_FORMAT.validate_python(response_format(text.format) or {"type": "text"}),
        tool_context=ToolContext(request.tools),
        inputs=request.input,
        extra_body=request.model_extra,
    )
    return _Loop(
        translator,
        context.declared,
        own,
        on_client(request, context),
        guardrails,
        inference_api=calls,
        ctx=chat,
        response_id="resp_turn",
        created_at=int(time.time()),
        text=text,
        max_infer_iters=min(_asked_steps(request) or context.max_steps, context.max_steps),
        tool_executor=tools,
        instructions=request.instructions,
        prompt_cache_key=request.prompt_cache_key,
        parallel_tool_calls=request.parallel_tool_calls,
        max_tool_calls=request.max_tool_calls,
        reasoning=request.reasoning,
        max_output_tokens=request.max_output_tokens,
        safety_identifier=request.safety_identifier,
        service_tier=request.service_tier,
        metadata=request.metadata,
        include=request.include,
        store=False,
        truncation=request.truncation,
        top_logprobs=request.top_logprobs,
        presence_penalty=request.presence_penalty,
        extra_body=request.model_extra,
    )


def _no_tools(servers: str, cause: BaseException) -> McpServerError:
    kind = McpUnauthorizedError if isinstance(cause, AuthenticationRequiredError) else McpServerError
    return kind(f"no tools from the MCP server {servers}: {with_shown_addresses(str(cause))}")


def _mcp_servers(request: CreateResponseRequest) -> str:
    return " or ".join(repr(tool.server_label) for tool in request.tools or [] if tool.type == "mcp")


def _asked_steps(request: CreateResponseRequest) -> int | None:
    """Return the number of model calls the request itself allows; the field's default is nobody's wish."""
    steps: int | None = request.max_infer_iters if "max_infer_iters" in request.model_fields_set else None
    return steps


def _end(
    request: CreateResponseRequest,
    context: TurnContext,
    calls: ModelCalls,
    fault: Exception | None,
    ending: Any,
    emit: Callable[[Event], None],
) -> None:
    """Say how the turn ended, where it did not end well."""
    match ending.type:
        case "response.failed":
            raise (
                calls.fault
                or fault
                or ModelCallError(request.model, f"could not be run: {ending.response.error.message}")
            )
        case "response.incomplete":
            reason = ending.response.incomplete_details.reason
            if reason == "max_iterations_exceeded":
                asked = _asked_steps(request)
                if asked is None or asked > context.max_steps:
                    raise StepLimitReached(context.max_steps)
            # The loop's word for a model that ran out of tokens is not the Responses API's.
            emit(TurnIncomplete(reason="max_output_tokens" if reason == "length" else reason))
        case "response.completed" if calls.finish_reason == "content_filter":
            emit(TurnIncomplete(reason="content_filter"))
