"""Studies of other databases, which the operator names; nothing of this is reachable by HTTP."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.database.urls import parsed_url
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.study import questions, writing


def import_study(database: Database, url: str, name: str) -> int:
    """Copy the finished trials of an Optuna study into ours, under its name; return how many.

    Conflict if we have a study of that name; InvalidInput if there is none at the URL. The URL may
    hold a password: no error repeats it.
    """
    source = _load(url, name)
    directions = [direction == StudyDirection.MAXIMIZE for direction in source.directions]
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = source.get_trials(deepcopy=False, states=states)
    with database.transaction() as transaction:
        if questions.find_study(transaction, name) is not None:
            raise Conflict(f"There is a study {name} in this database already.")
        study_id = writing.create_study(transaction, name, directions, source.user_attrs)
        writing.add_trials(transaction, study_id, trials)
    return len(trials)


def _load(url: str, name: str) -> optuna.Study:
    try:
        parsed = parsed_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput.of("URL", None, "is no database URL") from None
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise InvalidInput.of("URL", parsed.database, "there is no such file")
    if parsed.get_backend_name() in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        storage = RDBStorage(parsed.render_as_string(hide_password=False), skip_table_creation=True)
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise InvalidInput.of("NAME", name, "there is no study of this name") from None
    except (RuntimeError, ImportError, SQLAlchemyError) as error:
        raise InvalidInput(f"Optuna can't read the database: {first_line(error)}") from None
