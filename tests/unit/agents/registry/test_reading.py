"""Definitions from YAML: what is wrong is named with its line."""

import os

import pytest

from k8gentai.agents.registry.definitions import read_definitions

WHOLE = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata:
  name: tried
spec:
  framework: langgraph
  entrypoint: tried.module:agent
"""


def read(tmp_path, text, environment=None):
    (tmp_path / "agent.yaml").write_text(text)
    return read_definitions(tmp_path, environment or {})


def faults(tmp_path, text):
    return [str(fault) for document in read(tmp_path, text) for fault in document.faults]


def test_a_whole_definition(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (document,) = read(tmp_path, WHOLE)
    assert (document.file, document.line, document.id, document.framework) == (
        "agent.yaml",
        1,
        "tried",
        "langgraph",
    )
    assert document.definition.spec.entrypoint == "tried.module:agent"
    assert not document.faults


def test_several_documents_and_files_and_none(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yml").write_text("# nothing\n---\n" + WHOLE + "---\n" + WHOLE.replace("tried", "two"))
    (tmp_path / "note.txt").write_text("not: ours")
    documents = read(tmp_path, WHOLE.replace("tried", "one"))
    assert [(d.id, d.line) for d in documents] == [("one", 1), ("tried", 3), ("two", 11)]


def test_links_are_followed_and_each_file_is_read_once(tmp_path):
    """As where a ConfigMap is mounted, beside a directory that is linked from elsewhere."""
    agents, elsewhere = tmp_path / "agents", tmp_path / "elsewhere"
    (agents / "..2026_11").mkdir(parents=True)
    (agents / "..2026_11" / "one.yaml").write_text(WHOLE.replace("tried", "one"))
    (agents / "..data").symlink_to("..2026_11")
    (agents / "one.yaml").symlink_to("..data/one.yaml")
    elsewhere.mkdir()
    (elsewhere / "two.yaml").write_text(WHOLE.replace("tried", "two"))
    (elsewhere / "back").symlink_to(agents)
    (agents / "linked").symlink_to(elsewhere)
    (agents / "dead.yaml").symlink_to("nothing")
    documents = read_definitions(agents, {})
    assert [(d.id, d.file) for d in documents] == [
        ("two", str(agents / "linked" / "two.yaml")),
        ("one", str(agents / "one.yaml")),
    ]


@pytest.mark.parametrize(
    ("written", "environment", "name"),
    [
        ("${env.MODEL}", {"MODEL": "llama"}, "llama"),
        ("${env.MODEL:=small}", {"MODEL": "llama"}, "llama"),
        ("${env.MODEL:=small}", {}, "small"),
        ("${env.MODEL:=small}", {"MODEL": ""}, "small"),
        ("${env.MODEL:=}", {}, None),
        ("ollama/${env.MODEL}", {"MODEL": "llama"}, "ollama/llama"),
    ],
)
def test_environment_variables(tmp_path, written, environment, name):
    text = WHOLE + f'  model: {{name: "{written}", temperature: "${{env.HEAT:=0.5}}"}}\n'
    (document,) = read(tmp_path, text, environment)
    assert document.definition.spec.model.name == name
    assert document.definition.spec.model.temperature == 0.5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "langgraph",
            "langraph",
            ":6: spec.framework: unknown framework 'langraph'; did you mean 'langgraph'? known are langgraph, ",
        ),
        (
            "  entrypoint:",
            "  entrypont:",
            ":7: spec.entrypont: there is no such field; did you mean 'entrypoint'?",
        ),
        (
            "spec:",
            "spec:\n  tools: [{name: t, aproval: required}]",
            ":6: spec.tools.0.aproval: there is no such field; did you mean 'approval'?",
        ),
        (
            "spec:",
            "spec:\n  limits: {toolcalls: 1}",
            ":6: spec.limits.toolcalls: there is no such field; did you mean",
        ),
        ("kind: Agent", "zzz: 1\nkind: Agent", ":2: zzz: there is no such field"),
        ("tried.module:agent", "tried/module.py", ":7: spec.entrypoint: 'tried/module.py' is not of the form"),
        ("name: tried", "name: Tried It", ":4: metadata.name: 'Tried It' is not an id"),
        ("  framework: langgraph\n", "", ":5: spec.framework: is missing"),
        ("kind: Agent\n", "", ":1: kind: is missing"),
        ("kind: Agent", "kind: Team", ":2: kind: unknown kind 'Team'; known are Agent"),
        ("kind: Agent", "kind: Agent\nkind: Agent", ":3: kind: given before, in line 2"),
        ("spec:", "spec:\n  limits: {steps: many}", ":6: spec.limits.steps: input should be a valid integer"),
        (
            "spec:",
            "spec:\n  description: ${env.GONE}",
            ":6: spec.description: the environment variable GONE is not set",
        ),
        (
            "  entrypoint:",
            "  pool: A b\n  entrypoint:",
            ":7: spec.pool: 'A b' is no name: small letters, digits and '-' between them, 63 at most",
        ),
        ("  entrypoint:", "  pool: ag2\n  entrypoint:", ":7: spec.pool: 'ag2' is the pool of another framework"),
        (
            "  entrypoint:",
            "  tools: [{name: t, boundary: none}]\n  limits: {toolCalls: 1}\n  entrypoint:",
            ":8: spec.limits: limits.toolCalls does not hold for 't', which has boundary: none",
        ),
        ("metadata:", "metadata: [", ":5: not YAML:"),
        ("apiVersion", "\t", ":1: not YAML:"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path, old, new, says):
    (fault, *_) = faults(tmp_path, WHOLE.replace(old, new))
    assert f"agent.yaml{says}" in fault


def test_all_faults_of_a_definition_are_named_and_the_others_go_on(tmp_path):
    (tmp_path / "b.yaml").write_text(WHOLE.replace("tried", "good"))
    bad, good = read(tmp_path, WHOLE.replace("langgraph", "x").replace("kind: Agent", "kind: Agnet"))
    assert [fault.line for fault in bad.faults] == [2, 6]
    assert (bad.id, bad.framework, bad.definition) == ("tried", "x", None)
    assert good.definition.id == "good"


def test_what_is_no_mapping_and_no_text(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert [fault.split("yaml:")[1] for fault in faults(tmp_path, "- a\n- b\n")] == [
        "1: not a mapping of apiVersion, kind, metadata and spec",
        "1: cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ]


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        read_definitions(tmp_path / "nowhere")


DECLARATIVE = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata: {name: tried}
spec:
  framework: langgraph
  model: {name: m}
  tools:
    - name: first
      TRIED
"""


@pytest.mark.parametrize(
    ("tried", "says"),
    [
        ("function: not a function", ":9: spec.tools.0.function: 'not a function' is not of the form"),
        ("function: a:b\n      agent: c", ":8: spec.tools.0: a tool has one of function, mcp and agent"),
        ("mcp: {}", ":9: spec.tools.0.mcp: an MCP server has either a command or a url"),
        ("mcp: {url: 'ftp://a'}", ":9: spec.tools.0.mcp.url: it does not begin with http:// or https://"),
        ("mcp: {url: 'http://['}", ":9: spec.tools.0.mcp.url: it has no host, or a port that is none"),
        ("mcp: {url: 'http://'}", ":9: spec.tools.0.mcp.url: it has no host, or a port that is none"),
        ("mcp: {url: 'http://a:hush/b@c'}", ":9: spec.tools.0.mcp.url: it has no host, or a port that is none"),
        ("mcp: {url: 'http://a', args: [b]}", ":9: spec.tools.0.mcp: args and env are of an MCP server with a"),
        ("mcp: {command: a, headers: {b: c}}", ":9: spec.tools.0.mcp: headers are of an MCP server with a url"),
        ("mcp: {command: a}\n      description: b", ":8: spec.tools.0: description is of a function or an agent"),
        ("mcp: {command: a, startSeconds: 0}", ":9: spec.tools.0.mcp.startSeconds: input should be greater"),
        ("agent: other\n    - {name: so it is, agent: b}", ":10: spec.tools.1: 'so it is' is no name that models"),
    ],
)
def test_a_fault_of_a_tool_is_named_with_its_line(tmp_path, tried, says):
    (fault, *_) = faults(tmp_path, DECLARATIVE.replace("TRIED", tried))
    assert f"agent.yaml{says}" in fault


@pytest.mark.parametrize(
    "tried",
    [
        "mcp: {url: 'http://a', headers: {Authorization: ${env.SECRET}}, args: [a]}",
        "mcp: {url: 'http://a', headers: {Authorization: [${env.SECRET}]}}",
        "mcp: {command: a, env: {KEY: [${env.SECRET}]}}",
        'mcp: {url: "http://a", headers: {Authorization: "Bearer ${env.SECRET}\\nX: y"}}',
    ],
)
def test_a_fault_tells_no_secret(tmp_path, tried):
    (document,) = read(tmp_path, DECLARATIVE.replace("TRIED", tried), {"SECRET": "hush"})
    assert document.faults
    assert "hush" not in str(document.faults)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 20_000, "agent.yaml:1: nested too deeply"),
        ("metadata: &m {name: rec, x: *m}\n", "agent.yaml:1: more than 10000 values, or an alias inside"),
        (LAUGHS, "agent.yaml:1: more than 10000 values"),
    ],
)
def test_a_file_that_would_take_all_down_is_broken_alone(tmp_path, monkeypatch, text, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(WHOLE)
    broken, good = read(tmp_path, text)
    assert str(broken.faults[0]).startswith(reason)
    assert (broken.id, good.faults) == ("agent", ())


def test_an_alias_stands_for_what_it_names(tmp_path):
    text = WHOLE.replace("name: tried", "name: &n tried")
    (document,) = read(tmp_path, text.replace("spec:\n", "spec:\n  description: *n\n"))
    assert (document.faults, document.definition.spec.description) == ((), "tried")


def test_a_file_whose_name_is_no_text_has_one(tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff.yaml")).write_text("no: agent")
    (document,) = read_definitions(tmp_path, {})
    assert document.file.endswith("bad\ufffd.yaml")
    assert document.file.encode()
