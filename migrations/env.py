"""Alembic's entry. Only our own tables: Optuna's are Optuna's to migrate."""

from alembic import context

from ridgeway.database.schema import VERSION_TABLE
from ridgeway.database.tables import metadata


def include_name(name: str | None, kind: str, parents: object) -> bool:
    """Leave every table that is not ours alone."""
    return kind != "table" or name in metadata.tables


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=include_name,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
