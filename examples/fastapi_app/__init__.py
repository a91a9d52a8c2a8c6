"""A small Mew: a REST API on a database. Every change is sent to the clients concerned.

`python -m examples.fastapi_app` starts it. Read `app.py` first, then any file of `routes/`.
"""
