"""The embedded stack: start every part of Souk on this machine, wait for it, restart what dies, stop in order.

A `Service` says what a part is, `process.Supervisor` runs services, `home.Home` is where all state lives. This room
starts processes and knows nothing of Django, of the application or of its settings; what it needs comes as arguments.
"""
