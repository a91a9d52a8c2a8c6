"""`python -m examples.fastapi_app.tables`: creates the tables, before several processes of the app start.

With `MEW_DEV=true` an empty database is filled with sample data too. `DATABASE_URL` names the database.
"""

from __future__ import annotations

import argparse
import asyncio
import os

from asgi_realtime import Settings
from examples.fastapi_app.database import DEFAULT_URL, Database
from examples.fastapi_app.seed import seed


async def create_tables(*, sample_data: bool) -> None:
    """Create missing tables, and the sample data in an empty database."""
    database = Database(os.environ.get("DATABASE_URL") or DEFAULT_URL)
    await database.start()
    if sample_data:
        async with database.sessions() as session:
            await seed(session)
    await database.stop()


def main() -> None:
    """Create them."""
    argparse.ArgumentParser(prog="python -m examples.fastapi_app.tables", description=__doc__).parse_args()
    asyncio.run(create_tables(sample_data=Settings.from_env().dev))


if __name__ == "__main__":
    main()
