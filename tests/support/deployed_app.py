"""The app of the deployment tests, for a command line: `uvicorn tests.support.deployed_app:app`."""

from __future__ import annotations

from tests.support.deployed import create_app

app = create_app()
