"""Routes and model streams of the host that ours replace or mend."""
