"""What we use of RQ that RQ does not promise to keep: key names we write ourselves, and BaseWorker's registering.

A newer RQ that fails here needs a look at ``keys``, ``jobs``, ``registration`` and the Lua scripts of
:mod:`k8gentai.workers`.
"""

import inspect

import pytest
import redis
from redis._parsers.encoders import Encoder
from rq import Queue
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, JobStatus
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker.base import BaseWorker, WorkerStatus

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.rq_jobs import FUNCTION, job_fields, rq_now
from k8gentai.workers.queue.rq_worker import TurnWorker

QUEUE = "langgraph"
TURN = "resp_0192f3a0c1d27e3fb1234567890abcde"


@pytest.fixture
def connection():
    """Nobody listens there: what is pinned here is decided without asking Redis."""
    with redis.Redis(port=1) as client:
        yield client


@pytest.fixture
def queue(connection):
    return Queue(QUEUE, connection=connection, serializer=JSONSerializer)


def test_the_queues_keys(queue):
    assert queue.key == keys.RQ_QUEUE + QUEUE
    assert Queue.redis_queues_keys == keys.RQ_QUEUES
    assert IntermediateQueue.get_intermediate_queue_key(queue.key) == queue.key + keys.RQ_INTERMEDIATE


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        (StartedJobRegistry, keys.RQ_STARTED),
        (FinishedJobRegistry, keys.RQ_FINISHED),
        (FailedJobRegistry, keys.RQ_FAILED),
        (CanceledJobRegistry, keys.RQ_CANCELED),
    ],
)
def test_the_registries_keys(connection, registry, key):
    assert registry(QUEUE, connection=connection).key == key + QUEUE


def test_a_job_that_runs_is_registered_as_job_and_execution():
    """Our Lua scripts write ``{turn}:{attempt}``."""
    assert StartedJobRegistry.parse_job_id(f"{TURN}:2") == TURN


def test_a_turns_job_reads_back_as_rqs_own(connection):
    assert Job.key_for(TURN) == keys.RQ_JOB + TURN
    fields = job_fields(TURN, "math", QUEUE)
    encoder = Encoder("utf-8", "strict", decode_responses=False)
    raw = {name.encode(): encoder.encode(value) for name, value in fields.items()}
    job = Job(TURN, connection=connection, serializer=JSONSerializer)
    job.restore(raw)
    assert (job.func_name, job.args, job.origin) == (FUNCTION, [TURN], QUEUE)
    assert job.get_status(refresh=False) is JobStatus.QUEUED
    assert job.description == "turn of math"
    assert job.timeout == -1


def test_the_statuses_our_scripts_write_are_rqs():
    assert {"queued", "started", "finished", "failed", "canceled"} <= {status.value for status in JobStatus}


def test_times_are_written_as_rq_writes_them(connection):
    fields = job_fields(TURN, "math", QUEUE)
    assert len(rq_now()) == len(str(fields["enqueued_at"])) == len("2026-11-21T10:00:00.000000Z")


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("register_birth", ["self"]),
        ("register_death", ["self"]),
        ("set_state", ["self", "state"]),
        ("heartbeat", ["self", "timeout"]),
    ],
)
def test_what_registering_calls(method, parameters):
    assert list(inspect.signature(getattr(BaseWorker, method)).parameters)[: len(parameters)] == parameters


def test_how_a_worker_is_made_and_shown():
    assert {"queues", "name", "connection", "serializer", "worker_ttl"} <= inspect.signature(
        BaseWorker
    ).parameters.keys()
    assert issubclass(TurnWorker, BaseWorker)
    assert {"idle", "busy"} <= {status.value for status in WorkerStatus}
