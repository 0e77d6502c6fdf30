"""``k8gentai drill``: runs turns of a user's own agent on the running stack while it kills and stops workers, and
tells what that did to them.

:mod:`.run` puts it together; :mod:`.client` is the client, :mod:`.workers` what is struck, :mod:`.check` finds
what was lost or doubled, :mod:`.report` adds it up.
"""
