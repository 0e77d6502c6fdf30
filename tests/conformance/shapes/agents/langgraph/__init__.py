"""LangGraph's and LangChain's shapes."""
