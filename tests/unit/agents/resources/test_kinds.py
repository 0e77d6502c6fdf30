"""Resources of several kinds: each is read by its own model, and what nothing reads is named."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import pytest
from pydantic import BaseModel

from k8gentai.agents.registry.definitions import agents_among, read_definitions
from k8gentai.agents.resources.agent import AgentDefinition, Spec
from k8gentai.agents.resources.kinds import KINDS
from k8gentai.agents.resources.not_used import NotUsed
from k8gentai.agents.resources.reader import read_documents
from k8gentai.agents.resources.resource import Part, Resource
from tests.support.processes import ROOT

FLOORS = ("agents", "workers", "providers", "stack")

AGENT = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata: {name: tried}
spec: {framework: langgraph, entrypoint: "tried.module:agent"}
"""
LAMP = """\
apiVersion: kagent.dev/v1alpha1
kind: Lamp
metadata: {name: desk}
spec:
  watts: 5
  colour: warm
"""


class _LampSpec(Part):
    watts: int
    colour: Annotated[str | None, NotUsed()] = None


class Lamp(Resource):
    """A kind that there is not."""

    kind: Literal["Lamp"]
    spec: _LampSpec


WITH_LAMPS = {**KINDS, "Lamp": Lamp}


def read(directory: Path, text: str, kinds=WITH_LAMPS):
    (directory / "all.yaml").write_text(text)
    return read_documents(directory, {}, kinds=kinds)


def faults(documents) -> list[str]:
    return [str(fault).rpartition("all.yaml:")[2] for document in documents for fault in document.faults]


def test_a_further_kind_is_read_by_its_own_model_and_is_no_agent(tmp_path):
    documents = read(tmp_path, f"{AGENT}---\n{LAMP}")
    agent, lamp = documents
    assert (lamp.kind, lamp.name, lamp.line, lamp.faults) == ("Lamp", "desk", 6, ())
    assert lamp.resource.spec.watts == 5
    assert isinstance(agent.resource, AgentDefinition)
    assert [[document.name for document in part] for part in agents_among(documents, WITH_LAMPS)] == [
        ["tried"],
        ["desk"],
    ]


def test_faults_of_a_further_kind_have_lines_and_its_own_fields(tmp_path):
    documents = read(tmp_path, f"{AGENT}---\n{LAMP.replace('watts', 'wats').replace('5', 'many')}")
    assert faults(documents) == [
        "9: spec.watts: is missing",
        "10: spec.wats: there is no such field; did you mean 'watts'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: Lamp", "kind: lamp", ["2: kind: unknown kind 'lamp'; did you mean 'Lamp'?"]),
        ("kind: Lamp", "kind: ConfigMap", ["2: kind: unknown kind 'ConfigMap'; known are Agent, Lamp"]),
        ("kind: Lamp", "kind: [Lamp]", ["2: kind: is to be one of Agent, Lamp"]),
        (
            "v1alpha1",
            "v1alpha2",
            ["1: apiVersion: unknown apiVersion 'kagent.dev/v1alpha2'; did you mean 'kagent.dev/v1alpha1'?"],
        ),
        ("apiVersion: kagent.dev/v1alpha1\n", "", ["1: apiVersion: is missing"]),
        (
            "apiVersion: kagent.dev/v1alpha1\nkind: Lamp",
            "apiVersion: v1\nkind: Service",
            [
                "1: apiVersion: unknown apiVersion 'v1'; known are kagent.dev/v1alpha1",
                "2: kind: unknown kind 'Service'; known are Agent, Lamp",
            ],
        ),
    ],
)
def test_an_unknown_kind_or_api_version_is_named_with_what_is_meant(tmp_path, old, new, says):
    assert faults(read(tmp_path, LAMP.replace(old, new))) == says


def test_what_is_of_no_known_kind_means_to_be_an_agent(tmp_path):
    (tmp_path / "agent.yaml").write_text(AGENT.replace("kind: Agent", "kind: agent"))
    (document,) = read_definitions(tmp_path, {})
    assert (document.id, document.framework, document.definition) == ("tried", "langgraph", None)


LIVE = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata:
  name: tried
  namespace: agents
  uid: 5d1f3a8e-27b1-4a0e-9c0b-7f6b5ad3c1c4
  resourceVersion: "4711"
  generation: 3
  creationTimestamp: "2026-11-28T10:00:00Z"
  deletionTimestamp: 2026-11-28T11:00:00Z
  finalizers: [kagent.dev/drain]
  labels: {team: search}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"spec": {"model": {"name": "${env.NOT_SET_HERE}"}}}
  ownerReferences: [{apiVersion: kagent.dev/v1alpha1, kind: Platform, name: main, uid: abc, controller: true}]
  managedFields: [{manager: kubectl, operation: Apply, fieldsV1: {"f:spec": {}}}]
spec: {framework: langgraph, entrypoint: "tried.module:agent"}
status:
  phase: Ready
  conditions: [{type: Ready, status: "True", message: "${env.NOT_SET_HERE}"}]
"""


def test_a_live_object_is_a_definition_as_its_file_is(tmp_path):
    (live,) = read(tmp_path, LIVE)
    assert (live.faults, live.not_used()) == ((), None)
    assert live.resource.metadata.labels == {"team": "search"}
    (later,) = read(
        tmp_path, LIVE.replace("4711", "4712").replace("Ready", "Progressing").replace("generation: 3", "")
    )
    assert later.resource == live.resource
    (bare,) = read(tmp_path, LIVE.replace("labels: {team: search}", "labels: null"))
    assert bare.resource.metadata.labels == {}


def test_status_and_metadata_are_lenient_and_spec_is_strict(tmp_path):
    written = LIVE.replace("  namespace:", "  ofANewerKubernetes: true\n  lables: {a: b}\n  namespace:")
    (document,) = read(tmp_path, written)
    assert unread(document) == [
        "5: metadata.ofANewerKubernetes: there is no such field",
        "6: metadata.lables: there is no such field; did you mean 'labels'?",
    ]
    assert faults(read(tmp_path, LIVE.replace("spec: {", "spec: {entrypont: x, "))) == [
        "18: spec.entrypont: there is no such field; did you mean 'entrypoint'?"
    ]


FULL = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata: {name: tried}
spec:
  framework: langgraph
  systemPrompt: Be short.
  model:
    name: m
    temperature: 0.5
    provider: openai
    endpoint: https://models.example
    apiKeySecretRef: {name: keys, key: openai}
  memory: {type: redis}
  env: [{name: A, value: hush}]
  scaling: {maxReplicas: 3}
  resources: {limits: {cpu: 1}}
  observability: {tracing: {enabled: true}}
  healthCheck: {path: /health}
"""
UNREAD = [
    "10: spec.model.provider",
    "11: spec.model.endpoint",
    "12: spec.model.apiKeySecretRef",
    "13: spec.memory",
    "14: spec.env",
    "15: spec.scaling",
    "16: spec.resources",
    "17: spec.observability",
    "18: spec.healthCheck",
]


def unread(document):
    """The fields that nothing reads, each behind its line."""
    return [line.partition("all.yaml:")[2] for line in document.not_used().splitlines()]


def test_fields_that_nothing_reads_are_named_a_line_each(tmp_path):
    (document,) = read(tmp_path, FULL)
    assert document.faults == ()
    assert unread(document) == UNREAD


def test_fields_of_a_declarative_agent_are_not_used_with_an_entrypoint(tmp_path):
    (document,) = read(tmp_path, FULL.replace("framework: langgraph", "framework: langgraph\n  entrypoint: a:b"))
    why = "the code of an entrypoint has its own"
    for field in (f"7: spec.systemPrompt: {why}", f"10: spec.model.temperature: {why}"):
        assert field in unread(document)


def test_fields_that_say_nothing_are_not_named(tmp_path):
    (document,) = read(
        tmp_path, AGENT.replace("spec: {", 'spec: {memory: null, env: [], model: {endpoint: "${env.E:=}"}, ')
    )
    assert (document.faults, document.not_used()) == ((), None)


def test_a_mark_is_all_that_a_further_kind_needs(tmp_path):
    (document,) = read(tmp_path, LAMP)
    assert unread(document) == ["6: spec.colour"]


def _unmarked(part: type[BaseModel]) -> Iterator[str]:
    """Yield the fields below a part that some resource has for a purpose."""
    for name, field in part.model_fields.items():
        if any(isinstance(mark, NotUsed) and mark.when is NotUsed().when for mark in field.metadata):
            continue
        yield name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _unmarked(inner)


def test_every_field_of_a_definition_is_read_somewhere_or_marked():
    files = (path for floor in FLOORS for path in (ROOT / floor / "k8gentai").rglob("*.py"))
    code = "\n".join(path.read_text() for path in files if path.parent.name != "resources")
    unread = {name for name in _unmarked(Spec) if not re.search(rf"\.{name}\b", code)}
    assert unread == set()
