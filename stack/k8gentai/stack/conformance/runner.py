"""Puts a framework's adapter to the checks, one after the other."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from k8gentai.stack.conformance.capabilities import Check
from k8gentai.stack.conformance.expect import CheckFailedError
from k8gentai.stack.conformance.kit import Kit
from k8gentai.stack.conformance.lab import Lab, Processes, open_lab
from k8gentai.stack.conformance.report import Outcome
from k8gentai.stack.conformance.scripted import ScriptedModel

_CHECK_SECONDS = 300
"""The seconds that a check may take that waits in vain for what never comes."""


async def put_to(check: Check, lab: Lab) -> None:
    """Run one check.

    Raises:
        CheckFailedError: it took too long.
        Exception: what the check raised.
    """
    try:
        async with asyncio.timeout(_CHECK_SECONDS) as limit:
            await check.run(lab)
    except TimeoutError as error:
        if limit.expired():
            raise CheckFailedError(f"it had not ended after {_CHECK_SECONDS} s") from error
        raise


async def run_checks(
    checks: Iterable[Check],
    kit: Kit,
    model: ScriptedModel,
    processes: Processes,
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run checks on a stack.

    Args:
        checks: in their order.
        kit: of the framework, which says what it cannot do.
        model: the model behind the stack's model endpoint.
        processes: the stack.
        on_outcome: told of each.
    """
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="k8gentai-conformance-") as pages:
        for number, check in enumerate(checks):
            outcome = await _run(check, kit, model, processes, Path(pages) / f"{number}.txt")
            on_outcome(outcome)
            outcomes.append(outcome)
    return outcomes


async def _run(check: Check, kit: Kit, model: ScriptedModel, processes: Processes, page: Path) -> Outcome:
    def outcome(state: str, reason: str = "", seconds: float = 0) -> Outcome:
        return Outcome.of(kit.framework, check, state, reason, seconds)

    if why := kit.why_not(check.capabilities):
        return outcome("impossible", why)
    began = time.monotonic()
    try:
        async with open_lab(kit.framework, model, processes, f"k{uuid.uuid4().hex[:12]}", page) as lab:
            await put_to(check, lab)
    except CheckFailedError as error:
        return outcome("failed", str(error), time.monotonic() - began)
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the other checks are run
        return outcome("failed", f"{type(error).__name__}: {error}", time.monotonic() - began)
    return outcome("passed", seconds=time.monotonic() - began)
