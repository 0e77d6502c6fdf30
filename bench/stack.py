"""The stack that a bench measures, and the scripted model in a process beside it, started as the product starts
them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from k8gentai.agents.registry.check_terms import Terms
from k8gentai.stack.conformance.lab import MODEL
from k8gentai.stack.local.children import Children
from k8gentai.stack.local.services import answers, free_port
from k8gentai.stack.local.temporary_stack import TemporaryStack

ROOT = Path(__file__).resolve().parents[1]
say = Console(stderr=True).print


async def start_model(children: Children) -> str:
    """Start the scripted model. Returns its base URL.

    Args:
        children: where it belongs.

    Raises:
        ChildError: it ended, or does not answer.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    command = [sys.executable, "-m", "k8gentai.stack.conformance.scripted", str(port)]
    await children.start("model", command, os.environ)
    await answers(children, "model", f"{url}/models")
    return url


async def start_stack(
    children: Children, directory: Path, model_url: str, definitions: Path, interpreters: Mapping[str, Path]
) -> TemporaryStack:
    """Start Redis and a server.

    Args:
        children: where they belong.
        directory: for data.
        model_url: the model endpoint's base URL.
        definitions: the directory of the agents'.
        interpreters: the Python of each framework they are of.

    Raises:
        SetUpError: an agent is broken, or something that is needed cannot be had.
        ChildError: a process ended, or does not answer.
    """
    stack = TemporaryStack(children, directory, say)
    settings = {
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "none",
        "INFERENCE_MODEL": MODEL,
        "LANGSMITH_TRACING": "false",
    }
    await stack.start(definitions, Terms(interpreters), settings)
    return stack
