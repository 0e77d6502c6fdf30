"""The SQL database is locked or away: clients are asked to try again, and turns are settled when it is back."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from k8gentai.agents.contract import events as ev
from k8gentai.providers.host.storage import StorageAwayError
from k8gentai.providers.http import api_error
from k8gentai.stack.local.services import free_port
from tests.support.providers import Floor


async def ended(client: httpx.AsyncClient, served: Floor) -> str:
    body = {"model": "math", "input": "2+2", "background": True}
    turn_id = str((await client.post("/v1/responses", json=body)).json()["id"])
    await served.turns.append(turn_id, ev.MessageDone(message_id="m", text="four"), ev.TurnCompleted())
    return turn_id


async def test_clients_are_asked_to_try_again(served: Floor, client: httpx.AsyncClient, tmp_path: Path) -> None:
    await served.service.open()
    turn_id = await ended(client, served)
    await served.settle()
    del served.turns.records[turn_id]
    conversation = (await client.post("/v1/conversations", json={})).json()["id"]
    with closing(sqlite3.connect(tmp_path / "sql.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        items = {"items": [{"type": "message", "role": "user", "content": "2+2"}]}
        answers = await asyncio.gather(
            client.post("/v1/conversations", json={}),
            client.post(f"/v1/conversations/{conversation}/items", json=items),
            client.delete(f"/v1/responses/{turn_id}"),
        )
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["code"] == "store_unavailable"
            assert int(answer.headers["retry-after"]) > 0
        other.execute("COMMIT")
    assert (await client.delete(f"/v1/responses/{turn_id}")).status_code == 200


async def test_a_turn_is_settled_when_the_database_is_back(
    served: Floor, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not left to the time after which it would be given to another server."""
    put, tried, done = served.store.put, asyncio.Event(), asyncio.Event()
    away = [StorageAwayError("locked")]

    async def put_if_back(stored: Any) -> None:
        tried.set()
        if away:
            raise away[0]
        await put(stored)
        done.set()

    monkeypatch.setattr(served.store, "put", put_if_back)
    served.settler.start()
    await ended(client, served)
    await tried.wait()
    away.clear()
    await done.wait()
    await served.settler.stop()


async def test_faults_of_statements_are_raised_as_they_are(served: Floor) -> None:
    await served.service.open()
    async with served.conversations.sql_store.sql_store.async_session() as session:
        with pytest.raises(OperationalError, match="no such table"):
            await session.execute(text("SELECT * FROM nowhere"))


def test_a_connection_that_is_silent_when_it_is_tried_before_use_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("sqlite://", pool_pre_ping=True)
    monkeypatch.setattr(type(engine.dialect), "do_ping", Mock(side_effect=[TimeoutError, True]))
    with engine.connect():
        pass
    with pytest.raises(StorageAwayError, match="does not answer in time"), engine.connect():
        pass
    with engine.connect():
        pass


def test_a_time_that_is_up_elsewhere_is_not_the_databases() -> None:
    assert api_error(StorageAwayError("locked")).status_code == 503
    assert api_error(TimeoutError()).status_code == 500


async def test_a_database_that_cannot_be_reached_is_away() -> None:
    engine = create_async_engine(f"postgresql+asyncpg://u:p@127.0.0.1:{free_port()}/x")
    with pytest.raises(StorageAwayError):
        async with engine.begin():
            pass
    await engine.dispose()
