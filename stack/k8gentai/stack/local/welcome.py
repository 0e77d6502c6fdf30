"""Prints the words of ``up`` once everything runs."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from k8gentai.agents.registry.registry import RegisteredAgent
from k8gentai.stack.local import agents_update as registering

TINY_MODEL = (
    "[yellow]No model is named, so a tiny one built in is used (SmolLM2, 135 million parameters): it calls the "
    "math agent's tools and little more.[/] For a real one set OLLAMA_URL, or OPENAI_API_KEY with "
    "OPENAI_BASE_URL, and INFERENCE_MODEL."
)

_SNIPPET = """\
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="none")
response = client.responses.create(model="{agent}", input="{question}")
print(response.output_text)"""

_CURL = """curl {url}/v1/responses --json '{{"model": "{agent}", "input": "{question}"}}'"""

_SUMS = ("Add 12.5 and 30.", "Divide 144 by 12.")
_GREETINGS = ("Hello!", "What can you do?")


def show_unready(agents: Sequence[RegisteredAgent], console: Console) -> None:
    """Print the agents, and what is wrong with them, where one is broken or none is ready."""
    states = {agent.state for agent in agents}
    if "broken" in states or "ready" not in states:
        console.print()
        registering.show(agents, console)


def show(url: str, agents: Iterable[RegisteredAgent], example: str, console: Console) -> None:
    """Print the agents, where they are, and how to ask one that is ready: the example, or the first."""
    agents = list(agents)
    console.print()
    registering.show(agents, console)
    console.print(f"\nServing at [bold]{url}[/] until Ctrl-C.\n", highlight=False)
    ready = [agent.id for agent in agents if agent.state == "ready"]
    if not ready:
        console.print(
            "No agent is ready yet: mend what is said above, then run 'k8gentai agents update'; where a variable "
            "of the shell is missing, start 'up' again with it.\n",
            soft_wrap=True,
        )
        return
    agent, questions = (example, _SUMS) if example in ready else (ready[0], _GREETINGS)
    for snippet, question in zip((_CURL, _SNIPPET), questions, strict=True):
        text = snippet.format(url=url, agent=agent, question=question)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        console.print()
