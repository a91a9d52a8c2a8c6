"""Finds what is wrong with the configuration of an app: in its variables, its keys, its Redis and on its machine.

`run_checks` runs all checks. The command `asgi-realtime check` prints what they return.
"""
