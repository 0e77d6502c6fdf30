"""Every Redis key and channel name there is, ours and those of RQ that we write ourselves.

Each name's docstring says what stands there, in which of Redis' types, and when it ends. README.md is made from
them, from :mod:`k8gentai.workers.queue.stored` and from the scripts: ``python -m tests.support.queue_readme``.
Before all of them stands the prefix (:mod:`k8gentai.workers.queue.key_prefix`), which is empty by default.
"""

from typing import Final

from k8gentai.workers.queue import key_prefix

TURN: Final = key_prefix.PREFIX + "amf:turn:"
"""``amf:turn:{id}``, a hash: the turn's record.

Ends: when it was settled for as long as its server keeps turns, and as it may wait for a person; at once when it
    is both deleted and settled (``FinishedTurns.settled``, where that comes last).
"""
EVENTS: Final = ":events"
"""``amf:turn:{id}:events``, a stream and channel: the turn's events; an entry's id is ``{seq}-0``. On the
channel the ``seq`` of each new event is published.

Ends: with the turn.
"""
JOURNAL: Final = ":journal"
"""``amf:turn:{id}:journal``, a hash: what the turn's models answered and its tools returned.

Ends: with the turn; a turn that goes on with this one has a copy.
"""
BEFORE: Final = ":before"
"""``amf:turn:{id}:before``, a list: events of the turns that this one continues.

Ends: with the turn.
"""
CHILDREN: Final = ":children"
"""``amf:turn:{id}:children``, a set: the turns that this one's tool calls asked for.

Ends: with the turn.
"""
SIGNING_KEY: Final = key_prefix.PREFIX + "amf:signing-key"
"""``amf:signing-key``, a string: what workers sign with when they ask on behalf of a turn.

Written by: whoever needs it first (``grants.signing_key``)
Ends: never.
"""
KEPT_SINCE: Final = key_prefix.PREFIX + "amf:kept-since"
"""``amf:kept-since``, a string: when a turn was accepted first, Unix time in seconds. What was accepted before
that, Redis has lost.

Written by: the server that accepts it (``accept``)
Ends: never.
"""
LEASES: Final = key_prefix.PREFIX + "amf:leases:"
"""``amf:leases:{pool}``, a sorted set: ``{id} {attempt}`` by the Unix time its lease ends; ``{id} taken``
by the time a turn is put back that was taken and not begun.

Ends: an entry with its attempt, or when the turn is begun or put back.
"""
DEAD: Final = key_prefix.PREFIX + "amf:dead:"
"""``amf:dead:{worker}``, a string: how a worker's process ended, as its witness saw it (JSON of
``attempts.Death``).

Ends: a day later.
"""
LOST: Final = key_prefix.PREFIX + "amf:lost:"
"""``amf:lost:{worker}``, a set: the turns that ran in a worker when it was lost.

Ends: three leases after the last of them was found.
"""
SOLVED: Final = key_prefix.PREFIX + "amf:solved:"
"""``amf:solved:{worker}``, a string: 1, once it is known which of a dead worker's turns had ended it, so that
the others are no suspects.

Ends: a day later.
"""
LANE: Final = key_prefix.PREFIX + "amf:lane:"
"""``amf:lane:{conversation}``, a list: the conversation's turns that are not settled, in order.

Ends: an entry when its turn is settled.
"""
VERSION: Final = ":version"
"""``amf:lane:{conversation}:version``, a string: how many turns of the conversation have been settled.

Ends: when none was for as long as the server keeps turns.
"""
POSITION: Final = ":position"
"""``amf:lane:{conversation}:position``, a string: where the conversation's next item stands.

Ends: when none came for as long as the server keeps turns.
"""
FINISHED: Final = key_prefix.PREFIX + "amf:finished"
"""``amf:finished``, a stream: ended turns that a server has yet to settle.

Ends: an entry when its turn is settled.
"""
SERVERS: Final = "servers"
"""``servers``, a consumer group: the servers, which share the stream of ended turns.

Written by: each server (``FinishedTurns.ids``)
Ends: a server's name after ten minutes without a sign of life (``forget_servers``).
"""
UNSETTLED: Final = key_prefix.PREFIX + "amf:unsettled:"
"""``amf:unsettled:{principal}``, a sorted set: ids by the Unix time they were accepted.

Ends: an entry when its turn is settled.
"""
IDEMPOTENCY: Final = key_prefix.PREFIX + "amf:idempotency:"
"""``amf:idempotency:{principal}:{key}``, a hash: the turn that a request with that key brought. In the
principal, ``%`` and ``:`` are written as in a URL.

Ends: with the turn; before that is settled, 31 days later than the server keeps turns.
"""
RETRIED: Final = key_prefix.PREFIX + "amf:retried:"
"""``amf:retried:{principal}:{digest}``, a hash: the turn of the last such request that an SDK sent. The
principal is written as above.

Ends: 12 minutes after the last try; when a try finds the queue full.
"""
WAITING: Final = key_prefix.PREFIX + "amf:waiting"
"""``amf:waiting``, a hash: how many turns of each agent are queued, those behind another turn of their
conversation included; a field is an agent's id.

Ends: a field when it would be 0.
"""
ALL_AGENTS: Final = "*"
"""``*``, a field: in ``amf:waiting``, that of all agents together. No agent's id and no model's name.

Ends: as every field there.
"""
WORKER: Final = key_prefix.PREFIX + "amf:worker:"
"""``amf:worker:{name}``, a channel: ids of turns which that worker is to drop.

Ends: nothing is kept.
"""

# RQ 2.12: rq/queue.py, rq/job.py, rq/registry.py, rq/intermediate_queue.py
RQ_QUEUES: Final = key_prefix.PREFIX + "rq:queues"
"""``rq:queues``, a set: the keys of the queues.

Ends: never.
"""
RQ_QUEUE: Final = key_prefix.PREFIX + "rq:queue:"
"""``rq:queue:{pool}``, a list: ids of the turns that wait for a worker, the next one first.

Ends: an entry when a worker takes it, or the turn ends.
"""
RQ_WORKERS: Final = key_prefix.PREFIX + "rq:workers:"
"""``rq:workers:{pool}``, a set: the keys of the workers of a queue.

Written by: each worker (RQ, by ``TurnWorker``)
Ends: an entry when its worker stops or is found dead.
"""
RQ_ALL_WORKERS: Final = key_prefix.PREFIX + "rq:workers"
"""``rq:workers``, a set: the keys of all workers.

Written by: each worker (RQ, by ``TurnWorker``)
Ends: an entry when its worker stops or is found dead.
"""
RQ_WORKER: Final = key_prefix.PREFIX + "rq:worker:"
"""``rq:worker:{name}``, a hash: a worker as RQ shows it; the other fields are RQ's.

Written by: that worker (RQ, by ``TurnWorker``)
Ends: 30 s after its last heartbeat; when it stops or is found dead.
"""
RQ_INTERMEDIATE: Final = ":intermediate"
"""``rq:queue:{pool}:intermediate``, a list: ids of the turns that were taken and are not begun.

Written by: the worker that takes a turn (``Attempts.take``)
Ends: an entry when the turn is begun or put back.
"""
RQ_JOB: Final = key_prefix.PREFIX + "rq:job:"
"""``rq:job:{id}``, a hash: the turn's job as RQ shows it; the other fields are RQ's.

Ends: when the turn has ended for as long as its server keeps turns.
"""
RQ_STARTED: Final = key_prefix.PREFIX + "rq:wip:"
"""``rq:wip:{pool}``, a sorted set: ``{id}:{attempt}`` of each turn that runs, by a Unix time that is far
off.

Ends: an entry with its attempt.
"""
RQ_FINISHED: Final = key_prefix.PREFIX + "rq:finished:"
"""``rq:finished:{pool}``, a sorted set: ids of turns that ended well or wait for a person, by the Unix
time their jobs end.

Ends: an entry when another turn ends after that time.
"""
RQ_FAILED: Final = key_prefix.PREFIX + "rq:failed:"
"""``rq:failed:{pool}``, a sorted set: the same of turns that failed.

Ends: an entry when another turn fails after that time.
"""
RQ_CANCELED: Final = key_prefix.PREFIX + "rq:canceled:"
"""``rq:canceled:{pool}``, a sorted set: the same of turns that were cancelled.

Ends: an entry when another turn is cancelled after that time.
"""
MISSING: Final = "missing_agents"
"""``missing_agents``, a field: in ``rq:worker:{name}``, JSON: the agents which that worker cannot import, each
with the reason.

Written by: that worker (``TurnWorker``)
Ends: with the worker's hash.
"""
REGISTRY: Final = key_prefix.PREFIX + "amf:registry"
"""``amf:registry``, a hash and channel: the agents, where the registry is kept in Redis. On the channel the
version of each new one is published.

Written by: ``k8gentai agents update`` (``RedisStore``)
Ends: never.
"""
REGISTRY_MAP: Final = "map"
"""``map``, a field: in ``amf:registry``, JSON: all agents as they were checked.

Written by: ``k8gentai agents update`` (``RedisStore``)
Ends: never.
"""
REGISTRY_VERSION: Final = "version"
"""``version``, a field: in ``amf:registry``: another text whenever the registry was replaced.

Written by: ``k8gentai agents update`` (``RedisStore``)
Ends: never.
"""
REGISTRY_WRITTEN_AT: Final = "written_at"
"""``written_at``, a field: in ``amf:registry``: when it was replaced, Unix time in seconds.

Written by: ``k8gentai agents update`` (``RedisStore``)
Ends: never.
"""
SERVED: Final = "served_agents"
"""``served_agents``, a field: in ``rq:worker:{name}``, JSON: the agents that the worker serves, where it does not
serve all of its pool.

Written by: that worker (``TurnWorker``)
Ends: with the worker's hash.
"""

ALL: Final = {name.lower(): value for name, value in globals().items() if name.isupper()}
"""The names above in lower case, as the Lua scripts see them in their table ``keys``."""


def is_key(name: str) -> bool:
    """Return whether a name is that of a key or the beginning of one; others stand behind one, or are no key's."""
    return name.removeprefix(key_prefix.PREFIX).startswith(("amf:", "rq:"))
