"""The embedding model that `up` finds where a person named one."""

import socket

import pytest

from k8gentai.stack.conformance.scripted.embeddings import DIMENSION, MODEL
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.embedding import EmbeddingModel, named_model
from k8gentai.stack.local.model_endpoint import Endpoint
from tests.scripted import ScriptedModel

SOME = Endpoint("http://127.0.0.1:9/v1", "secret", "a test")


def test_none_is_named() -> None:
    assert named_model({"EMBEDDING_MODEL": "", "EMBEDDING_BASE_URL": SOME.base_url}, SOME) is None


def test_the_models_endpoint_is_asked(model: ScriptedModel) -> None:
    endpoint = Endpoint(model.base_url, "none", "a test")
    found = named_model({"EMBEDDING_MODEL": MODEL}, endpoint)
    assert found == EmbeddingModel(MODEL, DIMENSION, endpoint)


def test_another_endpoint_is_asked_with_its_own_key(model: ScriptedModel) -> None:
    environment = {"EMBEDDING_MODEL": MODEL, "EMBEDDING_BASE_URL": f"{model.base_url}/"}
    found = named_model(environment, SOME)
    assert found is not None
    assert found.endpoint == Endpoint(model.base_url, "none", "EMBEDDING_BASE_URL")


def test_a_model_that_is_not_there_is_told(model: ScriptedModel) -> None:
    with pytest.raises(SetUpError, match=r"'other' \(EMBEDDING_MODEL\) at .* cannot be used: 400 .*no such model"):
        named_model({"EMBEDDING_MODEL": "other"}, Endpoint(model.base_url, "none", "a test"))


def test_an_endpoint_that_is_away_is_told() -> None:
    with socket.socket() as taken:  # bound and not listening: it refuses
        taken.bind(("127.0.0.1", 0))
        away = Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "secret", "a test")
        with pytest.raises(SetUpError, match="does not answer") as told:
            named_model({"EMBEDDING_MODEL": "some"}, away)
    assert "secret" not in str(told.value)
