"""The limit of open files is raised as far as the system allows, and is no reason not to start."""

import resource
from typing import Any

import pytest

from k8gentai.workers.process.descriptors import raise_limit

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "allowed", "raised"),
    [
        ((1_024, 1_048_576), 1_048_576, (65_536, 1_048_576)),
        ((1_024, 20_000), 20_000, (20_000, 20_000)),
        ((256, INFINITY), 245_760, (65_536, INFINITY)),
        ((256, INFINITY), 61_440, (10_240, INFINITY)),
        ((256, INFINITY), 0, (256, INFINITY)),
        ((20_000, INFINITY), 30_000, (20_000, INFINITY)),
        ((100_000, INFINITY), 0, (100_000, INFINITY)),
        ((INFINITY, INFINITY), 0, (INFINITY, INFINITY)),
    ],
    ids=["much", "little", "macOS", "macOS with little", "not at all", "partly", "enough", "no limit"],
)
@pytest.mark.parametrize("error", [ValueError("current limit exceeds maximum limit"), PermissionError()])
def test_the_limit_is_raised_as_far_as_it_may(
    limits: tuple[int, int],
    allowed: int,
    raised: tuple[int, int],
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = limits

    def set_limits(_: Any, wanted: tuple[int, int]) -> None:
        nonlocal now
        if wanted[0] > allowed:
            raise error
        now = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    raise_limit()
    assert now == raised
