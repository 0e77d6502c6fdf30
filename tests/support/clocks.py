"""Processes whose clock is another."""

import os
from collections.abc import Mapping

from tests.support.processes import ROOT

_SKEWED = str(ROOT / "tests" / "support" / "skewed")


def skewed(environment: Mapping[str, str], seconds: float) -> dict[str, str]:
    """What to add to a process's environment so that its clock is ahead.

    Args:
        environment: all of it.
        seconds: by how much; negative where it is to be behind.
    """
    path = [_SKEWED, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(path)), "TEST_CLOCK_AHEAD": str(seconds)}
