"""The Django project of the tests, with its database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.django_server import DjangoServer, copy_database, django_server, make_database
from tests.support.postgresql_server import PostgresProcess, postgresql_server


@pytest.fixture(scope="session")
def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database with users. It is made once for the tests of one process, which copy it."""
    folder = tmp_path_factory.mktemp("django")
    make_database(folder)
    return folder


@pytest.fixture
def folder(made_database: Path, tmp_path: Path) -> Path:
    """A folder with a database of its own."""
    return copy_database(made_database, tmp_path)


@pytest.fixture(scope="module")
def django(made_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DjangoServer]:
    """A server that the tests of a module share."""
    with django_server(copy_database(made_database, tmp_path_factory.mktemp("shared"))) as server:
        yield server
        assert "SynchronousOnlyOperation" not in server.output


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresProcess]:
    """A PostgreSQL that the tests of one process share. Its database `made` has users; tests copy it."""
    with postgresql_server() as server:
        server.create_database("made")
        make_database(tmp_path_factory.mktemp("postgresql"), server.settings("made"))
        yield server
