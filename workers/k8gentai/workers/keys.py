"""Every Redis key and channel name there is, ours and those of RQ that we write ourselves."""

from typing import Final

TURN: Final = "amf:turn:"
"""``amf:turn:{id}``, a hash: the turn's record."""
EVENTS: Final = ":events"
"""``amf:turn:{id}:events``, a stream: the turn's events; an entry's id is ``{seq}-0``."""
JOURNAL: Final = ":journal"
"""``amf:turn:{id}:journal``, a hash: what the turn's models answered and its tools returned."""
LEASES: Final = "amf:leases:"
"""``amf:leases:{framework}``, a sorted set: ``{id} {attempt}`` by the Unix time its lease ends."""
LANE: Final = "amf:lane:"
"""``amf:lane:{conversation}``, a list: the conversation's turns that are not settled, in order."""
VERSION: Final = ":version"
"""``amf:lane:{conversation}:version``: how many turns of the conversation have been settled."""
FINISHED: Final = "amf:finished"
"""A stream of ended turns that a server has yet to settle."""
SERVERS: Final = "servers"
"""The consumer group in which servers share that stream."""
UNSETTLED: Final = "amf:unsettled:"
"""``amf:unsettled:{principal}``, a sorted set: ids by the time they were accepted."""
IDEMPOTENCY: Final = "amf:idempotency:"
"""``amf:idempotency:{principal}:{key}``, a hash: the turn's id and the request's digest."""
WORKER: Final = "amf:worker:"
"""``amf:worker:{name}``, a channel: ids of turns which that worker is to drop."""

# RQ 2.12: rq/queue.py, rq/job.py, rq/registry.py, rq/intermediate_queue.py
RQ_QUEUES: Final = "rq:queues"
RQ_QUEUE: Final = "rq:queue:"
RQ_INTERMEDIATE: Final = ":intermediate"
RQ_JOB: Final = "rq:job:"
RQ_STARTED: Final = "rq:wip:"
RQ_FINISHED: Final = "rq:finished:"
RQ_FAILED: Final = "rq:failed:"
RQ_CANCELED: Final = "rq:canceled:"

ALL: Final = {name.lower(): value for name, value in globals().items() if name.isupper()}
"""The names above in lower case, as the Lua scripts see them in their table ``keys``."""
