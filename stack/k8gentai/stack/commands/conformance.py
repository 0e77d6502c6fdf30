"""``k8gentai conformance``. What it needs is imported when it runs, so that help comes at once."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from k8gentai.stack.terminal.console import err, one_line_errors, out


def conformance(
    adapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ADAPTER",
            help="Modules of adapters (package.module or package.module:Class); by default, k8gentai's own.",
            show_default=False,
        ),
    ] = None,
    python: Annotated[
        Path, typer.Option(help="The Python that can import the adapter, its framework and k8gentai.")
    ] = Path(sys.executable),
    agents: Annotated[
        Path | None,
        typer.Option(
            help="What the framework brings; by default 'conformance' beside the module.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run checks with this in their names only; may be given several times."),
    ] = None,
    declared: Annotated[bool, typer.Option("--declared", help="Run nothing: show what is declared.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check's outcome as JSON.")] = False,
) -> None:
    """Put an adapter to every check of the conformance suite, and print what its agents can do.

    Starts a stack of its own for it: an embedded Redis, a server, a worker, and a scripted model in place of a
    real one. **ADAPTER** is a module that defines one adapter, or the name of a framework that has one already.
    The directory `conformance` beside it holds the agents that the checks talk to (`docs/conformance.md`).

    Exit code 1 if a check failed. What a framework declares that it cannot do, with its reason, is no failure.
    """
    from k8gentai.stack.environments.installed import go_on_in

    with one_line_errors():
        # The clients that the checks use are there, too, and the embedded Redis.
        go_on_in("llama-stack", err.print, "--python", str(python))

    from k8gentai.stack.conformance import report
    from k8gentai.stack.conformance import session as command
    from k8gentai.stack.local.settings import read_settings

    with one_line_errors():
        given = command.Given(adapters or (), python, agents, tuple(only or ()), declared)
        outcomes = command.conformance(read_settings(), given, err)
        if as_json:
            out.print_json(json.dumps([outcome.model_dump() for outcome in outcomes]))
        elif markdown:
            out.print(report.markdown(outcomes), end="", markup=False, highlight=False, soft_wrap=True)
        else:
            report.show(outcomes, out)
            if not declared:
                report.show_sum(outcomes, out)
    raise typer.Exit(any(outcome.state == "failed" for outcome in outcomes))
