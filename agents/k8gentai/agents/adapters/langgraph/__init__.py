"""The adapter of LangGraph."""
