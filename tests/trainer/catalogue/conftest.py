"""Both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from support.postgresql import INITDB, running_postgresql

from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.schema import metadata


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A running PostgreSQL."""
    if INITDB is None:
        pytest.skip("PostgreSQL is missing; `sudo apt-get install postgresql`")
    with running_postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty catalogue in either."""
    if request.param == "sqlite":
        engine = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    else:
        engine = open_catalogue(request.getfixturevalue("postgresql_url"))
    yield engine
    metadata.drop_all(engine)
    engine.dispose()
