"""Checks that a Redis is fit to keep turns."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import BusyLoadingError, NoPermissionError

from k8gentai.workers.queue import key_prefix
from k8gentai.workers.queue.connection import pauses
from k8gentai.workers.queue.links import CLUSTER_LINKS, StoreRefusesError

log = structlog.get_logger(__name__)


class UnfitError(Exception):
    """A Redis answers, and would lose turns. The message says why, and what to do."""


async def check(redis: AsyncRedis) -> None:
    """See that a Redis can keep turns, once it has loaded them or ended a script that runs.

    Raises:
        UnfitError: it cannot.
        AWAY: it is away.
    """
    for pause in pauses():
        try:
            await _check_now(redis)
        except (BusyLoadingError, StoreRefusesError) as error:
            log.warning("redis_busy", error=str(error), retry_in=pause)
            await asyncio.sleep(pause)
        else:
            return


async def _check_now(redis: AsyncRedis) -> None:
    try:
        _check(await redis.info(), redis)
    except NoPermissionError:
        await redis.ping()


def check_blocking(redis: Redis) -> None:
    """Check a Redis as :func:`check` does, for threads."""
    try:
        _check(redis.info(), redis)
    except NoPermissionError:
        redis.ping()


def _check(info: Mapping[str, Any], redis: Any) -> None:
    if fault := key_prefix.fault_of(key_prefix.PREFIX):
        raise UnfitError(fault)
    if info.get("cluster_enabled"):
        _check_cluster(redis.connection_pool.connection_class)
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        raise UnfitError(
            f"It drops turns when its memory is full (maxmemory-policy is {policy}): set that to noeviction"
        )


def _check_cluster(links: type) -> None:
    if links not in CLUSTER_LINKS:
        raise UnfitError("It is a node of a Redis Cluster: name that as redis+cluster://host:port,host:port")
    if not key_prefix.has_tag(key_prefix.PREFIX):
        raise UnfitError(
            "It is a Redis Cluster, where all keys have to lie in one slot: set AMF_KEY_PREFIX to a prefix with a "
            "hash tag, for servers, workers and the command alike, as in AMF_KEY_PREFIX='{k8gentai}:'"
        )
