"""What ``up`` says once everything runs."""

from collections.abc import Iterable

from rich.console import Console

from k8gentai.agents.registry import RegisteredAgent
from k8gentai.stack import registering

TINY_MODEL = (
    "[yellow]No model is named, so a tiny one built in is used (SmolLM2, 135 million parameters): it calls the "
    "math agent's tools and little more.[/] For a real one set OLLAMA_URL, or OPENAI_API_KEY with "
    "OPENAI_BASE_URL, and INFERENCE_MODEL."
)

_SNIPPET = """\
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="none")
response = client.responses.create(model="{agent}", input="Divide 144 by 12.")
print(response.output_text)"""

_CURL = """curl {url}/v1/responses --json '{{"model": "{agent}", "input": "Add 12.5 and 30."}}'"""


def show(url: str, agent: str, agents: Iterable[RegisteredAgent], console: Console) -> None:
    """Print the agents, where they are, and how to ask them."""
    console.print()
    registering.show(agents, console)
    console.print(f"\nServing at [bold]{url}[/] until Ctrl-C.\n", highlight=False)
    for example in (_CURL, _SNIPPET):
        text = example.format(url=url, agent=agent)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        console.print()
