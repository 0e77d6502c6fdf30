"""Llama Stack's own tests of its Responses API, on its builtin provider and on ours: docs/upstream.md."""
