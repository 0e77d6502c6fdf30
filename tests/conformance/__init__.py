"""What every framework's adapter does: one file a capability, each test run with every framework.

A framework brings the same agents under ``agents/<framework>/``, written as its own documentation writes them:
``plain`` (a model, no tools), ``calculator`` (tools add, multiply and fail, which raises), ``scribe`` (tools write
and linger, which leave marks in a file) and ``raising`` (its own code raises). What a framework cannot do is
said, with the reason, in :mod:`tests.conformance.capabilities`.
"""
