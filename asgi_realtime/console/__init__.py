"""The web console: a page for operators of an app, on a gateway of its own. It is imported by apps that mount it.

`console` is the gateway, `access` and `login_throttle` decide who gets in, `http_pages` serves the files in `page/`,
and `cluster_view` asks all processes.
"""
