"""What a turn is to its agent: the turn, its events, what adapters fulfil, and what the stack does for one."""
