"""Opens the catalogue's database, makes its tables once, and refuses one of another version."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.schema import SCHEMA, metadata, schema_version

BUSY_S: Final = 30


def open_catalogue(url: str) -> Engine:
    """Return the database at `url`, with its tables.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.

    Raises:
        OperatorError: it cannot be reached or used, or its tables are of another version; never tells a password.
    """
    parsed = _parse(url)
    shown = parsed.render_as_string(hide_password=True)
    try:
        engine = _engine(parsed)
        _prepare(engine, shown)
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"catalogue {shown}: {error.name} is missing; in the checkout `pip install '.[postgresql]'`"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise OperatorError(f"catalogue {shown}: cannot be used: {reason}") from error
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Do all of it or nothing.

    Raises:
        OperatorError: the database broke off, is full or stays locked.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        shown = engine.url.render_as_string(hide_password=True)
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise OperatorError(f"catalogue {shown}: {reason}; is there room, and is the database up?") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise OperatorError("catalogue: not a database URL such as postgresql://earshot@localhost/earshot") from error
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if url.database:
        os.close(os.open(url.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    event.listen(engine, "connect", prepare)
    return engine


def _prepare(engine: Engine, shown: str) -> None:
    with engine.begin() as connection:
        if not inspect(connection).has_table(schema_version.name):
            metadata.create_all(connection)
            connection.execute(insert(schema_version).values(version=SCHEMA))
        version = connection.execute(select(schema_version.c.version)).scalar_one()
        if version == SCHEMA:
            metadata.create_all(connection)  # tables that this program knows and the one that made it did not
    if version != SCHEMA:
        raise OperatorError(f"catalogue {shown}: has schema {version}, this program knows {SCHEMA}; update Earshot")
