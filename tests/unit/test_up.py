"""What ``up`` shows of its steps."""

import io

from rich.console import Console

from k8gentai.stack.environments.hosts import HOSTS
from k8gentai.stack.local.settings import read_settings
from k8gentai.stack.local.up import Plan, _Stack


def test_off_a_terminal_each_step_has_a_line_before_it_is_done() -> None:
    shown = io.StringIO()
    console = Console(file=shown)
    plan = Plan(8321, next(iter(HOSTS.values())), ("langgraph",), once=True)
    with _Stack(plan, read_settings(), console).doing("Checking the agents"):
        assert shown.getvalue() == "Checking the agents\n"
