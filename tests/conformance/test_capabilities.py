"""Every check of the suite, with every framework."""

import pytest

from k8gentai.stack.conformance.checks import CHECKS
from k8gentai.stack.conformance.runner import put_to


@pytest.mark.parametrize("check", CHECKS, ids=[f"{check.capability.name}: {check.name}" for check in CHECKS])
async def test_the(check, kit, lab):
    if why := kit.why_not(check.capabilities):
        pytest.skip(f"{kit.framework}: {why}")
    await put_to(check, lab)
