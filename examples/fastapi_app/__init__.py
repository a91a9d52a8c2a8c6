"""A small real Mew: REST on a database, every change told to the clients concerned.

`python -m examples.fastapi_app` starts it. Read `app.py` first, then any file of `routes/`.
"""
