"""The entry point that ``module: k8gentai`` in a run YAML names: the host asks here for our providers."""

from typing import Any

from k8gentai.providers import host


def get_provider_spec() -> list[Any]:
    """Return the providers there are. The host picks by ``provider_type``, so each API has its own."""
    return [
        host.RemoteProviderSpec(
            api=host.Api.responses,
            adapter_type="amf",
            provider_type="remote::amf",
            module="k8gentai.providers.server.provider",
            config_class="k8gentai.providers.server.config.AmfConfig",
            api_dependencies=[
                host.Api.inference,
                host.Api.models,
                host.Api.conversations,
                host.Api.connectors,
                host.Api.prompts,
            ],
            optional_api_dependencies=host.OPTIONAL_APIS,
            description="Agents of any framework, run by worker pools behind a Redis queue.",
        ),
        host.RemoteProviderSpec(
            api=host.Api.inference,
            adapter_type="amf-models",
            provider_type="remote::amf-models",
            module="k8gentai.providers.host.agent_models",
            config_class="k8gentai.providers.host.agent_models.AgentModelsConfig",
            description="Lists the agents as models.",
        ),
        host.InlineProviderSpec(
            api=host.Api.inference,
            provider_type="inline::amf-embeddings",
            module="k8gentai.providers.host.embeddings",
            config_class="k8gentai.providers.host.embeddings.EmbeddingsConfig",
            description="Embeddings for vector stores: the model endpoint's, or of words alone.",
        ),
        # The host's own, in the server's process: OGX would start two more, of 190 MB each, to cut files up.
        host.InlineProviderSpec(
            api=host.Api.file_processors,
            provider_type="inline::amf-pypdf",
            module=f"{host.NAME}.providers.inline.file_processor.pypdf",
            config_class=f"{host.NAME}.providers.inline.file_processor.pypdf.PyPDFFileProcessorConfig",
            api_dependencies=[host.Api.files],
            description="Cuts text and PDF files into passages.",
        ),
    ]
