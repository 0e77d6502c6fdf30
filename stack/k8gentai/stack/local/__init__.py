"""The launcher of a stack on one machine."""
