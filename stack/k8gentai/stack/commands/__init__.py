"""The ``k8gentai`` command: a file for each group of its commands."""
