"""The README's commands, in a clean copy of the repository, with the embedded model."""

import signal
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from k8gentai.stack.environments.hosts import HOSTS
from k8gentai.stack.local.services import free_port
from tests.e2e.checkout import Checkout

pytestmark = pytest.mark.timeout(900)

QUESTIONS = {
    "What is 17 times 23?": ("multiply", "391"),
    "Add 12.5 and 30.": ("add", "42.5"),
    "Divide 144 by 12.": ("divide", "12"),
    "What is 6 multiplied by 7?": ("multiply", "42"),
    "What is 100 divided by 8?": ("divide", "12.5"),
    "What is 250 plus 175?": ("add", "425"),
    "Multiply 12 by 11.": ("multiply", "132"),
    "Add 3 and 4.": ("add", "7"),
    "What is 81 / 9?": ("divide", "9"),
    "What is 15 * 4?": ("multiply", "60"),
    "What is 2 + 2?": ("add", "4"),
    "How much is 99 times 3?": ("multiply", "297"),
    "Add 1.5 to 2.25.": ("add", "3.75"),
    "What is the sum of 40 and 2?": ("add", "42"),
    "What is the product of 8 and 9?": ("multiply", "72"),
    "What is 1000 divided by 25?": ("divide", "40"),
    "Please multiply 13 and 5.": ("multiply", "65"),
    "Divide 10 by 4.": ("divide", "2.5"),
    "What is 365 times 24?": ("multiply", "8760"),
    "What is 7 plus 8?": ("add", "15"),
}
ENOUGH = 18


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    # Deeper than a unix socket's path may be long.
    made = Checkout(tmp_path_factory.mktemp("a-clean-copy-of-the-repository") / "k8gentai-as-cloned-by-someone")
    yield made
    assert made.wait_for_no_processes(20) == []


def ask(port: int, question: str) -> dict[str, object]:
    body = {"model": "langgraph-math", "input": question}
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/responses", json=body, timeout=120)
    response: dict[str, object] = answer.raise_for_status().json()
    return response


@pytest.mark.parametrize("host", HOSTS)
def test_up_once_shows_the_call_and_the_number_and_leaves_nothing(checkout: Checkout, host: str) -> None:
    done = checkout.run("./scripts/up", "--once", "--host", host, "--port", str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'multiply({"a": 17, "b": 23})' in done.stdout
    assert "langgraph-math: " in done.stdout
    assert done.stdout.rstrip().endswith("391.")
    assert checkout.processes() == []


def test_a_taken_port_is_told_in_one_line(checkout: Checkout) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = checkout.run("./scripts/up", "--once", "--port", str(port))
    assert done.returncode == 1
    assert last_words(done) == f"Port {port} cannot be used (Address already in use): choose another with --port."


def test_a_redis_that_is_away_is_told_in_one_line(checkout: Checkout) -> None:
    with socket.socket() as taken:  # bound and not listening: it refuses, and nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        url = f"redis://:secret@127.0.0.1:{taken.getsockname()[1]}/0"
        done = checkout.run("./scripts/up", "--once", "--port", str(free_port()), REDIS_URL=url)
    assert done.returncode == 1
    assert last_words(done).startswith("Redis at redis://:***@127.0.0.1:")


def test_most_answers_are_right_also_from_documents_and_outlive_kill_9(checkout: Checkout) -> None:
    port = free_port()
    with checkout.serving(port) as up:
        asked = {question: ask(port, question) for question in QUESTIONS}
        example = "examples.clients.llama_stack.simple_rag"
        documents = checkout.run(".venvs/server/bin/python", "-m", example, "localhost", str(port))
        updated = checkout.run("./scripts/update-registry")
        assert updated.returncode == 0, updated.stdout + updated.stderr
        up.send_signal(signal.SIGKILL)
        up.wait(10)
        assert checkout.wait_for_no_processes(20) == []
    right = [question for question, response in asked.items() if is_right(response, *QUESTIONS[question])]
    assert len(right) >= ENOUGH, f"wrong: {QUESTIONS.keys() - right}"
    assert documents.returncode == 0, documents.stderr
    assert "30 days" in documents.stdout.splitlines()[-1], documents.stdout

    first = next(iter(asked.values()))
    port = free_port()
    with checkout.serving(port) as up:
        kept = httpx.get(f"http://127.0.0.1:{port}/v1/responses/{first['id']}").raise_for_status().json()
        up.send_signal(signal.SIGINT)
        up.wait(60)
        assert checkout.processes() == []
    assert kept["output"] == first["output"]


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what is wrong, after those that say what was installed."""
    *before, last = done.stderr.splitlines()
    assert all(line.startswith(("Fetching", "Installing", "Installed")) for line in before), done.stderr
    return last


def is_right(response: dict[str, object], tool: str, number: str) -> bool:
    output = response["output"]
    assert isinstance(output, list)
    calls = [item["name"] for item in output if item["type"] == "mcp_call"]
    texts = [part["text"] for item in output if item["type"] == "message" for part in item["content"]]
    return calls == [tool] and any(number in text.rstrip(".").split() for text in texts)
