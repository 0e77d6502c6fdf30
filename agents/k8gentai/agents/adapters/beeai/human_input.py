"""Has the turn ask a person where BeeAI asks at the console: the turn waits without a worker."""

from typing import Any

from beeai_framework.utils.io import setup_io_context

from k8gentai.agents.adapters.beeai.run import TurnRun, current_call
from k8gentai.agents.contract.turn import Decision
from k8gentai.agents.text.json_text import shown_json


def ask_through(run: TurnRun) -> None:
    """Let what runs in this context (``io_read``, ``io_confirm``, ``AskPermissionRequirement``) ask through its
    turn."""

    async def read(prompt: str) -> str:
        decision = await _ask(run, "io_read", {"message": prompt})
        return decision.reason or ("yes" if decision.approve else "no")

    async def confirm(prompt: str, **shown: Any) -> bool:
        return (await _ask(run, "io_confirm", {"message": prompt, **shown})).approve

    setup_io_context(read=read, confirm=confirm)


async def _ask(run: TurnRun, name: str, shown: dict[str, Any]) -> Decision:
    arguments = shown_json(shown)
    question = run.call_ids.make(name, current_call.get() or "", arguments)
    return await run.context.tools.ask(question, name, arguments)
