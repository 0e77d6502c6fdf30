"""What the host hands our provider beside models and conversations, with a little in each."""

from types import SimpleNamespace
from typing import Any

from llama_stack_api import Prompt
from llama_stack_api.common.errors import (
    ConnectorNotFoundError,
    OpenAIFileObjectNotFoundError,
    VectorStoreNotFoundError,
)
from llama_stack_api.connectors import (
    Connector,
    GetConnectorRequest,
    ListConnectorsResponse,
    ListConnectorToolsRequest,
    ListToolsResponse,
)
from llama_stack_api.prompts import GetPromptRequest
from llama_stack_api.tools import ToolDef, ToolInvocationResult
from llama_stack_api.vector_io import VectorStoreSearchResponsePage

from k8gentai.providers import host
from k8gentai.providers.host.access import caller
from tests.support.services import found

PROMPT = "pmpt_" + "0" * 48


class Connectors:
    """One MCP server."""

    async def get_connector(self, request: GetConnectorRequest) -> Connector:
        if request.connector_id != "wiki":
            raise ConnectorNotFoundError(request.connector_id)
        return (await self.list_connectors()).data[0]

    async def list_connectors(self) -> ListConnectorsResponse:
        return ListConnectorsResponse(data=[Connector(connector_id="wiki", url="http://wiki/mcp")])

    async def list_connector_tools(self, request: ListConnectorToolsRequest) -> ListToolsResponse:
        assert request.connector_id == "wiki"
        schema = {"type": "object", "properties": {"page": {"type": "string"}}, "required": ["page"]}
        return ListToolsResponse(data=[ToolDef(name="look_up", description="Looks up.", input_schema=schema)])


class Prompts:
    """One prompt in two versions, of which the first is the default."""

    async def get_prompt(self, request: GetPromptRequest) -> Prompt:
        version = request.version or 1
        if request.prompt_id != PROMPT or version > 2:
            raise ValueError("not found")
        text, names = [
            ("You are {{ role }}, {{tone}}.", ["role", "tone"]),
            ("Newer: {{ role }}.", ["role"]),
        ][version - 1]
        return Prompt(prompt_id=PROMPT, prompt=text, version=version, variables=names)


class VectorIO:
    """The store ``vs_1``, which is the user ada's where there are users."""

    def __init__(self) -> None:
        self.searches: list[Any] = []
        self.hit = found("Ghent")

    async def openai_retrieve_vector_store(self, vector_store_id: str) -> Any:
        user = caller()
        if vector_store_id != "vs_1" or (user is not None and user.principal != "ada"):
            raise VectorStoreNotFoundError(vector_store_id)

    async def openai_search_vector_store(self, vector_store_id: str, request: Any) -> Any:
        await self.openai_retrieve_vector_store(vector_store_id)
        if request.filters == {"type": "odd"}:
            raise ValueError("Unknown filter type: odd")
        self.searches.append(request)
        return VectorStoreSearchResponsePage.model_validate({"search_query": ["q"], "data": [self.hit]})


class Files:
    """The file ``file-1``."""

    async def openai_retrieve_file(self, request: Any) -> Any:
        if request.file_id != "file-1":
            raise OpenAIFileObjectNotFoundError(request.file_id)
        return SimpleNamespace(filename="a.txt")

    async def openai_retrieve_file_content(self, request: Any) -> Any:
        return SimpleNamespace(body=b"hello")


class Tools:
    """A web search."""

    async def get_tool(self, tool_name: str) -> ToolDef:
        return ToolDef(name=tool_name)

    async def invoke_tool(self, tool_name: str, kwargs: dict[str, Any]) -> ToolInvocationResult:
        assert tool_name == "web_search"
        if kwargs["query"] == "broken":
            return ToolInvocationResult(error_message="no quota", error_code=429)
        return ToolInvocationResult(content=f"about {kwargs['query']}")


class Safety:
    """One shield, which blocks swords."""

    @property
    def routing_table(self) -> "Safety":
        return self

    async def list_shields(self) -> Any:
        return SimpleNamespace(data=[SimpleNamespace(identifier="peace", provider_resource_id="guard-1")])

    async def run_moderation(self, request: Any) -> Any:
        assert request.model == "guard-1"
        result = SimpleNamespace(
            flagged="sword" in request.input, user_message="No.", categories={"arms": True}, metadata={}
        )
        return SimpleNamespace(results=[result])


class HostApis:
    """All of them."""

    def __init__(self) -> None:
        self.connectors = Connectors()
        self.prompts = Prompts()
        self.vector_io: Any = VectorIO()
        self.files: Any = Files()
        self.tool_groups: Any = Tools()
        self.tool_runtime: Any = Tools()
        self.safety: Any = Safety()

    def deps(self, models: Any, conversations: Any) -> dict[Any, Any]:
        """Return them with two more as the host hands them on."""
        return {
            host.Api.models: models,
            host.Api.conversations: conversations,
            **{host.Api(name): api for name, api in vars(self).items()},
        }
