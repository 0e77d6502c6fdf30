"""The adapter of Llama Stack."""
