"""``k8gentai conformance``: runs every capability of an agent framework's adapter on a stack of its own, with a
scripted model, and tells what holds.

It is part of the product, so that whoever writes an adapter can run it, and needs no pytest: a check is an async
function that raises, so the command (:mod:`.command`) and our own tests (``tests/conformance``) run the very same.

:mod:`.checks` has a file a capability; :mod:`.capabilities` names them; :mod:`.kit` reads the agents that a
framework brings; :mod:`.lab` is what a check works with; :mod:`.stand` starts the processes; :mod:`.scripted` is
the model, and the only double.
"""
