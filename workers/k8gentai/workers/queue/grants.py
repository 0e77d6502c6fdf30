"""Ties a turn to the turn whose tool call it answers: an agent that another agent asks.

A worker asks like any client, by a request to the stack, and vouches for its turn in a signed header: what a
client writes there is worth nothing, so nobody claims a parent, an owner or a depth that is not theirs.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis

from k8gentai.agents.resources.agent import Limits
from k8gentai.workers.queue import keys

PARENT_HEADER = "x-amf-parent"


class Parent(BaseModel):
    """The turn that asked, and what it leaves to the one it asks."""

    turn_id: str
    depth: int
    """The number of further agents through which the one that is asked may hand its question on."""
    tokens: int | None
    """The tokens that it may use; None where nobody limits it."""
    deadline: float
    """The time until which it may run, by Redis' clock (Unix time in seconds)."""


def bounded(limits: Limits, parent: Parent | None, now: float) -> Limits:
    """Return a turn's own limits, or what its parent leaves it at Redis' time ``now``, where that is less."""
    if parent is None:
        return limits
    tokens = [tokens for tokens in (limits.tokens, parent.tokens) if tokens is not None]
    return limits.model_copy(
        update={
            "seconds": max(0.0, min(limits.seconds, parent.deadline - now)),
            "tokens": min(tokens, default=None),
            "depth": min(limits.depth, parent.depth),
        }
    )


async def signing_key(redis: Redis) -> bytes:
    """Return what workers and servers of one Redis sign with, and nobody else knows."""
    connection: Any = redis
    await connection.set(keys.SIGNING_KEY, secrets.token_hex(32), nx=True)
    key: bytes = await connection.get(keys.SIGNING_KEY)
    return key


def signed(parent: Parent, key: bytes) -> str:
    """Return the header that says so."""
    claims = base64.urlsafe_b64encode(parent.model_dump_json().encode())
    return f"{claims.decode()}.{_signature(claims, key)}"


def verified(header: str, key: bytes) -> Parent | None:
    """Return what a header says; None where no worker of this stack signed it."""
    claims, _, signature = header.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(claims.encode(), key).encode()):
        return None
    return Parent.model_validate_json(base64.urlsafe_b64decode(claims))


def _signature(claims: bytes, key: bytes) -> str:
    return hmac.new(key, claims, hashlib.sha256).hexdigest()
