"""A turn's job in RQ: what ``rq info`` and RQ's dashboards show of it.

RQ keeps the queue and its registries. Who runs a job, and what of, is not read from the job: a worker of ours
takes a turn's id from the queue and runs the turn of that id (:mod:`k8gentai.workers.process.running_turns`),
so what somebody else writes into a job is never imported or called.
"""

from datetime import UTC, datetime

import redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import utcformat

FUNCTION = "k8gentai.workers.turn"
"""The name that RQ shows as the job's function. There is none of that name to import."""

# RQ wants a client to make a job with; making one sends nothing.
_UNUSED = redis.Redis()


def job_fields(turn_id: str, agent: str, framework: str) -> dict[str, str | bytes | int | float]:
    """Return the fields of the hash ``rq:job:{turn_id}`` for a queued turn, as RQ itself writes them."""
    job = Job.create(
        FUNCTION,
        args=(turn_id,),
        id=turn_id,
        connection=_UNUSED,
        serializer=JSONSerializer,
        origin=framework,
        description=f"turn of {agent}",
        status=JobStatus.QUEUED,
        timeout=-1,
    )
    job.enqueued_at = datetime.now(UTC)
    return {name: value for name, value in job.to_dict().items() if value is not None}


def rq_now() -> str:
    """Return the time now as RQ writes times."""
    return str(utcformat(datetime.now(UTC)))
