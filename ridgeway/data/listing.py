"""What a client sees of data sets: pages of summaries, and one with the profile of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import (
    SUMMARY,
    described,
    find_dataset,
    plugin_names,
    summarise,
)
from ridgeway.database.cursors import FLAG, FLOAT, NAME, Keys
from ridgeway.database.tables import KEPT, datasets
from ridgeway.errors import NotFound
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import seen_by
from ridgeway.spec.profiles import ColumnProfile, infer_task
from ridgeway.views import Dataset, DatasetPage, DatasetSummary

# Those that come with Ridgeway or a plug-in, by name; then uploads, by time and id.
OFFERED_FIRST = Keys(FLAG, FLOAT, NAME)


def list_datasets(
    transaction: Connection, *, cursor: str | None, limit: int, caller: Caller = LOCAL
) -> DatasetPage:
    """List what jobs can name: bundled and plug-ins' data sets by name, then uploads, old to new.

    Of uploads those that the caller sees.

    Costs the same however wide the data sets are: no profile is read.
    """
    is_upload, created_at, name = (0, 0.0, "") if cursor is None else OFFERED_FIRST.place(cursor)
    offered = [] if is_upload else _offered(transaction, after=name)
    after = (created_at, name) if is_upload else None
    uploads = _uploads(transaction, caller, after, limit + 1)
    summaries = [*offered, *map(summarise, uploads)]
    places = [(0, 0.0, each.name) for each in offered]
    places += [(1, row.created_at, row.id) for row in uploads]
    return DatasetPage(
        datasets=summaries[:limit],
        next=OFFERED_FIRST.cursor(places[limit - 1]) if len(places) > limit else None,
    )


def _uploads(
    transaction: Connection, caller: Caller, after: Sequence[Any] | None, limit: int
) -> Sequence[sa.Row[Any]]:
    age = (datasets.c.created_at, datasets.c.id)
    query = sa.select(*SUMMARY, datasets.c.created_at).where(KEPT).order_by(*age).limit(limit)
    query = query.where(seen_by(caller, datasets.c.owner))
    if after is not None:
        query = query.where(sa.tuple_(*age) > sa.tuple_(*map(sa.literal, after)))
    return transaction.execute(query).all()


def _offered(transaction: Connection, after: str) -> list[DatasetSummary]:
    """Return the bundled and plug-ins' data sets of later names."""
    names = sorted({*bundled_profiles(), *plugin_names(transaction)})
    return [_offer(name) for name in names if name > after]


def _offer(name: str) -> DatasetSummary:
    profile = bundled_profiles().get(name)
    target = None if profile is None else profile.columns[-1]
    return DatasetSummary(
        id=None,
        name=name,
        kind="plugin" if profile is None else "bundled",
        rows=None if profile is None else profile.rows,
        column_count=None if profile is None else len(profile.columns),
        target=None if target is None else target.name,
        task=None if target is None else infer_task(target),
        checksum=None,
        bytes=None,
        created_at=None,
    )


def describe_dataset(transaction: Connection, name_or_id: str, caller: Caller = LOCAL) -> Dataset:
    """Return the data set that the caller's job of this `dataset` gets, with its profile.

    NotFound where there is none that the caller sees. The profile of another release, which this
    one can't read, is told and left out.
    """
    if name_or_id in bundled_profiles():
        return _described(_offer(name_or_id), bundled_profiles()[name_or_id].columns)
    try:
        stored = find_dataset(transaction, name_or_id, caller)
    except NotFound:
        if name_or_id not in plugin_names(transaction):
            raise
        return _described(_offer(name_or_id), None)
    return described(stored)


def _described(summary: DatasetSummary, columns: list[ColumnProfile] | None) -> Dataset:
    return Dataset(**dict(summary), columns=columns)
