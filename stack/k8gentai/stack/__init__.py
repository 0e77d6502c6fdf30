"""The Llama Stack distribution and the ``k8gentai`` command."""
