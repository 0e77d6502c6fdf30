"""Where Llama Stack looks for the provider."""

from llama_stack_api import Api, InlineProviderSpec


def get_provider_spec() -> InlineProviderSpec:
    return InlineProviderSpec(
        api=Api.tool_runtime,
        provider_type="inline::recorded-search",
        module="tests.upstream.search",
        config_class="tests.upstream.search.SearchConfig",
        toolgroup_id="builtin::websearch",
        description="Finds what was found before.",
    )
