"""The contract between a turn and its agent: the turn, its events, what adapters fulfil, and the services of the
stack."""
