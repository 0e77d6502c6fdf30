"""The ``k8gentai`` command. Each command imports what it needs when it runs, so that help comes at once."""

from typing import Annotated

import typer

from k8gentai.stack.commands.conformance import conformance
from k8gentai.stack.terminal.console import err, fail, one_line_errors, out

app = typer.Typer(
    help="One durable API in front of any agent framework.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
agents_app = typer.Typer(help="The agents, and the registry that names them.", no_args_is_help=True)
app.add_typer(agents_app, name="agents")
turns_app = typer.Typer(help="The turns that Redis keeps, those that ended for a day.", no_args_is_help=True)
app.add_typer(turns_app, name="turns")
app.command()(conformance)

TurnId = Annotated[str, typer.Argument(metavar="ID", help="A turn's id, which is its response's: resp_….")]

AgentId = Annotated[str, typer.Argument(metavar="ID", help="An agent's id: k8gentai agents list.")]

LeaseSeconds = Annotated[
    float,
    typer.Option(
        help="How long a worker may be silent before its turns run again elsewhere, in seconds.", min=0.5
    ),
]


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where the stack listens, on loopback.", min=1, max=65535)] = 8321,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="End after the first answer; exit code 0 only if it was complete, or nothing wrong is found.",
        ),
    ] = False,
    frameworks: Annotated[
        str, typer.Option(help="Whose agents to run: names with commas between them, or all.")
    ] = "langgraph,llama-stack",
    host: Annotated[str, typer.Option(help="The server: llama-stack or ogx.")] = "llama-stack",
) -> None:
    """Start everything on this machine, ask an agent a question, and serve until Ctrl-C.

    Redis, the stack's server and the workers run until this command ends, however it ends; what they keep
    is in `.k8gentai/`, with their logs in `.k8gentai/logs/`.

    **Model**: OPENAI_BASE_URL and OPENAI_API_KEY, or OLLAMA_URL, or an Ollama that answers on its usual
    port, or a tiny one built in. INFERENCE_MODEL names the model; without it, the first one listed is taken.

    **Redis**: REDIS_URL, or one built in.
    """
    from k8gentai.stack.environments.hosts import host_named
    from k8gentai.stack.environments.installed import go_on_in
    from k8gentai.stack.local.running import run_up
    from k8gentai.stack.local.up import Plan, planned

    with one_line_errors():
        # The embedded Redis is there, too.
        go_on_in("llama-stack", err.print)
        plan = Plan(port, host_named(host), planned(frameworks), once)
        raise typer.Exit(run_up(plan, out, err))


@app.command()
def worker(
    framework: Annotated[
        str, typer.Argument(help="Whose agents to run: langgraph, llama-stack, ….", show_default=False)
    ],
    pool: Annotated[
        str | None,
        typer.Option(help="Whose turns to run: of agents with this `pool`; without, of those that name none."),
    ] = None,
    agents: Annotated[
        str | None,
        typer.Option(help="Load and serve only these agents of the pool: ids with commas between them."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Turns at once; by default what suits the framework.", min=1)
    ] = None,
    grace_seconds: Annotated[
        float, typer.Option(help="How long running turns may go on after SIGTERM, in seconds.", min=0)
    ] = 30,
    lease_seconds: LeaseSeconds = 4,
    attempts: Annotated[
        int,
        typer.Option(help="How many workers a turn may end before it fails; the same for all workers.", min=1),
    ] = 3,
    max_memory: Annotated[
        int | None,
        typer.Option(
            help="MB of memory beyond which it drains and ends with exit code 75, to be replaced.", min=1
        ),
    ] = None,
) -> None:
    """Run the turns of one pool, many at once, until SIGTERM or Ctrl-C.

    Agents of a framework are in the pool of its name, but for those that name another one (`spec.pool`).

    Start as many as you like, wherever REDIS_URL and AMF_STACK_URL (default http://127.0.0.1:8321; with
    AMF_STACK_API_KEY where it asks who calls) are reached. Agents' code is imported from the working directory.
    The framework's environment is made where it is not there. AMF_ADAPTERS names adapters of your own.
    """
    from k8gentai.stack.commands import worker as command
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        settings = settings_of_up()
        command.go_on_in_environment_of(framework, err)
        terms = command.Terms(concurrency, grace_seconds, lease_seconds, attempts, max_memory)
        code = command.serve(settings, framework, pool, agents, terms, err)
    raise typer.Exit(code)


@app.command()
def drill(
    agent: Annotated[str, typer.Argument(help="The id of the agent whose turns are run.")],
    turns: Annotated[int, typer.Option(help="How many turns.", min=1)] = 50,
    at_once: Annotated[int, typer.Option(help="How many at once.", min=1)] = 4,
    message: Annotated[str, typer.Option(help="What each turn is asked.")] = "What is 17 times 23?",
    workers: Annotated[int, typer.Option(help="How many workers it starts, and strikes.", min=2)] = 3,
    every: Annotated[float, typer.Option(help="Seconds between two strikes.", min=0.1)] = 5,
    seconds: Annotated[
        float, typer.Option(help="How long a turn may take before it counts as one without an end.", min=1)
    ] = 300,
    lease_seconds: LeaseSeconds = 4,
    faults: Annotated[
        str, typer.Option(help="What is done, of kill, stop, redis-errors, link and server.", metavar="FAULT,…")
    ] = "kill,stop",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the turns that nothing is wrong with.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Kill and stop workers while turns of an agent run, and tell what that did to them.

    Sends turns to the running stack (AMF_STACK_URL, REDIS_URL) and starts workers of its own, which it strikes in
    turn: `kill -9`, and `SIGSTOP` for longer than a lease. With `redis-errors`, `link` and `server` they and its
    client go through proxies, which answer as a Redis that is full or read-only, hold, slow and silence links, and
    reset connections to the server. It touches no other process. **Turns are real**: the model is paid for, and
    tools do what they do.

    Exit code 1 if an event was lost or doubled, a turn has no end, or a call that was recorded was made again.
    """
    from k8gentai.stack.commands import drill as command
    from k8gentai.stack.drill.run import Plan
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        settings = settings_of_up()
        registered = command.ready_agent(settings, agent)
        plan = Plan(
            agent=agent,
            framework=registered.framework,
            pool=registered.pool,
            message=message,
            turns=turns,
            at_once=at_once,
            workers=workers,
            every_seconds=every,
            turn_seconds=seconds,
            lease_seconds=lease_seconds,
            faults=command.faults_of(settings, faults),
            keep=keep,
        )
        clean = command.drill(settings, plan, as_json, out, err)
    raise typer.Exit(not clean)


@agents_app.command("update")
def agents_update(
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Take agents off whose definitions are gone, be they more than half."),
    ] = False,
    frameworks: Annotated[
        str | None,
        typer.Option(help="Those in use: names with commas between them, or all.", show_default=False),
    ] = None,
) -> None:
    """Check every definition under AMF_AGENTS (default examples/agents) and write the registry.

    Prints what is new, changed and gone.

    Each agent is imported in its framework's environment; frameworks of which nothing has changed are not imported
    again. A broken agent is named with file, line and reason, and the others go on; a running stack takes up what
    changed. Exit code 1 if one is broken, stays as it was because a variable of the environment is not set, or has
    a second definition, which is refused; or if a resource of another kind is broken.

    Where an `up` runs in this directory, what is not set here is as it is set there: AMF_AGENTS, variables that
    definitions read, the model; code sees the environment of its workers. Elsewhere the directory that the
    registry was made of stands for AMF_AGENTS. Agents of frameworks that are not in use are unused: in use are
    those that `up` runs, be they named or not, else those that are installed, and those of agents that are ready.
    """
    from k8gentai.agents.registry.changes import Changes
    from k8gentai.stack.environments.frameworks import chosen
    from k8gentai.stack.local import agents_update as registering
    from k8gentai.stack.local.settings import settings_of_up

    seen: list[Changes] = []

    def approve(found: Changes) -> None:
        seen.append(found)
        if not yes:
            registering.refuse_to_empty(settings, found)

    with one_line_errors():
        settings = settings_of_up().remembering()
        named = chosen(frameworks) if frameworks is not None else None
        in_use = registering.in_use(settings, named)
        agents = registering.update(settings, err.print, in_use, keep=True, approve=approve)
    for line in registering.notes(settings, named):
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    registering.show(agents, out, told_of={name for found in seen for name in found.kept})
    for found in seen:
        registering.show_changes(found, out)
    broken = any(agent.state == "broken" for agent in agents)
    raise typer.Exit(broken or any(found.kept or found.refused or found.faulty for found in seen))


@agents_app.command("list")
def agents_list() -> None:
    """Show the agents of the registry."""
    from k8gentai.stack.environments.installed import PRODUCT
    from k8gentai.stack.local import agents_update as registering
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        settings = settings_of_up()
        found = settings.read_registry().list()
    if not found:
        fail(f"{settings.registry_store().name} names no agent: run '{PRODUCT.update}'.")
    registering.show(found, out)


@agents_app.command("show")
def agents_show(agent_id: AgentId) -> None:
    """Show one agent: its state, its workers, the turns that wait for it, and what its definition says."""
    from k8gentai.stack.commands import agents
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        agents.show(settings_of_up(), agent_id, out)


@agents_app.command("call")
def agents_call(
    agent_id: AgentId, text: Annotated[str, typer.Argument(metavar="TEXT", help="What to ask it.")]
) -> None:
    """Ask an agent of the running stack (AMF_STACK_URL). Exit code 0 only if its answer is complete."""
    from k8gentai.stack.commands import agents
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        raise typer.Exit(not agents.call(settings_of_up(), agent_id, text, out))


@turns_app.command("list")
def turns_list(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=1000)] = 20,
    status: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, suspended, completed, …")
    ] = None,
) -> None:
    """Show the newest turns: agent, status, attempts, and how long each waited and ran."""
    from k8gentai.stack.commands import turns
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        turns.list_turns(settings_of_up(), limit, status, out)


@turns_app.command("show")
def turns_show(turn_id: TurnId) -> None:
    """Show one turn: what it waits for, its attempts and the workers that made them, its model calls, tools and
    tokens."""
    from k8gentai.stack.commands import turns
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        turns.show(settings_of_up(), turn_id, out)


@turns_app.command("events")
def turns_events(
    turn_id: TurnId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for those to come, to the end.")] = False,
) -> None:
    """Show a turn's events, one JSON object a line, each behind its position in the stream."""
    from k8gentai.stack.commands import turns
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        turns.print_events(settings_of_up(), turn_id, follow, out)


@turns_app.command("cancel")
def turns_cancel(turn_id: TurnId) -> None:
    """End a turn that is queued, runs, or waits for a person, at once. Exit code 1 if it had ended."""
    from k8gentai.stack.commands import turns
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        found = turns.cancel(settings_of_up(), turn_id)
    out.print(f"Cancelled; it was {found}.")


@turns_app.command("approve")
def turns_approve(
    turn_id: TurnId,
    deny: Annotated[bool, typer.Option("--deny", help="Say no instead.")] = False,
    reason: Annotated[str | None, typer.Option(help="What the agent is told along with the decision.")] = None,
    call: Annotated[
        list[str] | None,
        typer.Option(help="Decide only calls of this tool, or this request (mcpr_…); may be given several times."),
    ] = None,
) -> None:
    """Approve what a suspended turn asks for, or deny it. Prints the id of the turn that goes on with it.

    Exit code 1 if it is too late (`limits.approvalSeconds`): the answer counts as a denial then.
    """
    from k8gentai.stack.commands import answers as answering
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        counts = answering.approve(
            settings_of_up(), turn_id, deny=deny, reason=reason, calls=call or (), console=out
        )
    raise typer.Exit(not counts)


@turns_app.command("retry")
def turns_retry(turn_id: TurnId) -> None:
    """Run a failed turn again from its journal: what it recorded is not done again. Prints the new turn's id."""
    from k8gentai.stack.commands import answers as answering
    from k8gentai.stack.local.settings import settings_of_up

    with one_line_errors():
        answering.retry(settings_of_up(), turn_id, out)


if __name__ == "__main__":
    app()
