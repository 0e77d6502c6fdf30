"""The output of the command."""
