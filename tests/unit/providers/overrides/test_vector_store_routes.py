"""Requests about vector stores that are not there."""

from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from k8gentai.providers.overrides.vector_stores import create_router


class Known:
    """The host's list of what the caller may see."""

    async def get_object_by_identifier(self, kind: str, name: str) -> object | None:
        return object() if (kind, name) == ("vector_store", "vs_known") else None


@pytest.fixture
def http() -> httpx.AsyncClient:
    """A host with our routes before its own, which answer to everything."""
    app = FastAPI()
    app.include_router(create_router(SimpleNamespace(routing_table=Known())))

    @app.api_route("/v1/{path:path}", methods=["GET", "POST"])
    async def hosts_own(path: str) -> str:
        return path

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stack")


@pytest.mark.parametrize("path", ["vector_stores", "vector_stores/vs_known", "vector_stores/vs_known/search"])
async def test_the_host_answers_where_the_store_is_there(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(f"/v1/{path}")).json() == path
    assert (await http.post(f"/v1/{path}")).json() == path


@pytest.mark.parametrize("path", ["vs_other", "vs_other/search", "vs_other/files/file-1"])
async def test_an_unknown_store_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(f"/v1/vector_stores/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": "Vector store 'vs_other' was not found. GET /v1/vector_stores lists those there are.",
        "type": "invalid_request_error",
        "param": "vector_store_id",
        "code": "vector_store_not_found",
    }
