"""A thousand turns under a crash drill, and how soon a killed worker's turns are taken up.

    python -m tests.chaos [TURNS]

starts Valkey, two servers and a scripted model, has the drill start, kill and stop workers, and kills Redis and
the server that clients talk to as well. Exit code 1 if an event was lost or doubled, a turn has no end, or a call
was repeated.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from k8gentai.stack.drill.report import show
from tests.scripted import ScriptedModel
from tests.support.chaos import Chaos
from tests.support.stack import Stack

TURNS = 1000


def run(directory: Path, turns: int) -> bool:
    """Run the drill and print its report. Returns whether every promise was kept."""
    model = ScriptedModel()
    model.start()
    stack = Stack(directory, model.base_url)
    try:
        stack.prepare()
        chaos = Chaos(stack)
        chaos.start()
        report = asyncio.run(chaos.run(turns))
    finally:
        stack.stop()
        model.stop()
    show(report, Console())
    return report.clean and report.ended == {"completed": turns}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.exit(not run(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else TURNS))
