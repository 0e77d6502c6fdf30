"""The journal, the limits, the questions and the event stream of one attempt at a turn."""
