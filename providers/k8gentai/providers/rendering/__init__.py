"""A turn's events as the Responses API shows them."""
