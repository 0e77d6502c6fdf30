"""A worker that no agent's turns come to says so at its start."""

import pytest
import structlog

from k8gentai.workers.process.nobody_served import warn_if_nobody_is_served
from tests.support.providers import agent

CREW = agent("crew", pool="tpu").model_copy(update={"framework": "crewai"})
AGENTS = [agent("plain"), agent("sculptor", pool="gpu"), CREW]


@pytest.mark.parametrize(
    ("pool", "only", "why"),
    [
        ("langgraph", None, None),
        ("gpu", None, None),
        ("gpu", ["sculptor", "late"], None),
        ("gup", None, "no agent of 'langgraph' is in the pool 'gup'; did you mean 'gpu'?"),
        ("tpu", None, "no agent of 'langgraph' is in the pool 'tpu'; did you mean 'gpu'?"),
        ("gpu", ["sculpter"], "the pool 'gpu' has none of these agents"),
        ("gpu", ["plain"], "the pool 'gpu' has none of these agents"),
        ("langgraph", ["sculptor"], "the pool 'langgraph' has none of these agents"),
    ],
)
def test_a_worker_that_serves_nobody_says_why(pool: str, only: list[str] | None, why: str | None) -> None:
    with structlog.testing.capture_logs() as logs:
        warn_if_nobody_is_served(AGENTS, "langgraph", pool, only)
    assert [(entry["event"], entry["why"]) for entry in logs] == ([("serves_no_agent_yet", why)] if why else [])


def test_a_worker_of_a_framework_waits_in_silence_for_its_first_agent() -> None:
    with structlog.testing.capture_logs() as logs:
        warn_if_nobody_is_served([], "langgraph", "langgraph", None)
    assert logs == []
