"""The examples, put where a first ``up`` finds no agents."""

import shutil
import tempfile
from pathlib import Path

from k8gentai.stack.environments.installed import PRODUCT, Say, SetUpError
from k8gentai.stack.local.settings import AGENTS


def place_examples(agents: Path, say: Say) -> None:
    """Put the examples into the working directory where nobody named agents of their own, and there are none.

    Args:
        agents: the directory that is to have the agents' definitions.
        say: called with what is put there.

    Raises:
        SetUpError: agents are named, or the examples' directory is another's, and there are no agents.
        OSError: they cannot be copied.
    """
    if agents.is_dir():
        return
    examples = AGENTS.parent
    if agents != AGENTS or examples.exists():
        raise SetUpError(f"There is no directory {agents} here: name that of your agents in AMF_AGENTS.")
    # Copied aside and then renamed: an end in between leaves no half of them.
    with tempfile.TemporaryDirectory(dir=".", prefix=".examples-") as aside:
        copied = shutil.copytree(
            PRODUCT.data / examples, Path(aside) / "examples", ignore=shutil.ignore_patterns("__pycache__")
        )
        copied.rename(examples)
    say(f"There are no agents here yet: the examples are put into {examples}/")
