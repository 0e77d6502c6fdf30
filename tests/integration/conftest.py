"""Real Valkey, real servers, real workers; the model alone is scripted."""

import pytest
import redis.asyncio

from k8gentai.stack.environments.hosts import HOSTS
from tests.support.llama_stack import McpServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def mcp_server():
    """The MCP server that the tests' agents name by its address."""
    server = McpServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def registry(model, mcp_server, tmp_path_factory):
    """The map of the tests' agents, checked once."""
    made = Stack(tmp_path_factory.mktemp("registry"), model.base_url)
    made.environment["TEST_MCP_URL"] = mcp_server.url
    try:
        made.prepare()
        yield made.registry
    finally:
        made.stop()


@pytest.fixture(scope="session", params=list(HOSTS.values()), ids=list(HOSTS))
def host(request):
    """The server that carries the provider. Tests on the same one run together."""
    return request.param


@pytest.fixture(scope="session")
def stack(host, model, registry, tmp_path_factory):
    """One server, and a worker of each framework. Not to be stopped by a test."""
    made = Stack(tmp_path_factory.mktemp("stack"), model.base_url, host)
    try:
        made.prepare(registry=registry)
        made.add_server()
        made.add_worker("langgraph", "--concurrency", "50")
        made.add_worker("llama-stack")
        yield made
    finally:
        made.stop()


@pytest.fixture
def own_stack(host, model, registry, tmp_path):
    """A stack that a test may stop parts of: Valkey and the registry are up, the rest is the test's to add."""
    made = Stack(tmp_path, model.base_url, host)
    try:
        made.prepare(registry=registry)
        yield made
    finally:
        made.stop()


@pytest.fixture
async def connection(valkey):
    """A client of it, which is empty."""
    client = redis.asyncio.Redis.from_url(valkey.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def client(stack):
    """The openai SDK's client."""
    async with stack.server.openai() as made:
        yield made


@pytest.fixture
async def http(stack):
    """Plain HTTP, to see what is on the wire."""
    async with stack.server.http() as made:
        yield made
