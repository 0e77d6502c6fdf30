"""The plug-ins of Llama Stack: the AMF provider, its routes, and agents listed as models."""
