"""Has the turn ask people where AG2's agents do, by ``context.input`` and ``approval_required``: the agent's own
hook would hold a worker for as long as the person thinks."""

from ag2.events import HumanInputRequest, ToolApprovalRequest

from k8gentai.agents.adapters.ag2.run import TurnRun, current_call
from k8gentai.agents.adapters.ag2.tools import running_arguments, shown_arguments
from k8gentai.agents.text.json_text import shown_json


async def answer(run: TurnRun, request: HumanInputRequest) -> str:
    """Return what a person says to a request: their own words, where they are more than a yes or a no.

    Raises:
        asyncio.CancelledError: nobody has said anything yet; the turn is suspended.
    """
    call = current_call.get()
    if isinstance(request, ToolApprovalRequest) and call is not None:
        # The question that the definition's own approval would be: answered once, for both.
        arguments = shown_arguments(call, running_arguments(call))
        decision = await run.context.tools.ask(call.id, call.name, arguments)
        return "y" if decision.approve else "n"
    shown = shown_json({"message": request.content})
    question = run.call_ids.make("input", call.id if call else "", shown)
    decision = await run.context.tools.ask(question, "input", shown)
    return decision.reason or ("yes" if decision.approve else "no")
