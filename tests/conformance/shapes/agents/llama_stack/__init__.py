"""Llama Stack's shapes, which have no code: a definition is all there is."""
