"""What plugs into Llama Stack: the AMF provider, its routes, and agents listed as models."""
