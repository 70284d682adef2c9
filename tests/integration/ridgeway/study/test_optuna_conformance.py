"""Optuna's own tests of a storage, on databases that we create, with our indices and triggers.

All of them on SQLite. On PostgreSQL, where each takes a second, those that write what our triggers
and indices follow: trials, their values and states, and the end of a study.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import create_database, drop_database
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase


class TestOnSQLite(StorageTestCase):
    @pytest.fixture
    def storage(self, sqlite_template: Path, tmp_path: Path) -> Iterator[RDBStorage]:
        """Optuna's storage on a migrated database."""
        shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
        storage = RDBStorage(f"sqlite:///{tmp_path / 'ridgeway.db'}")
        yield storage
        storage.engine.dispose()


class TestOnPostgreSQL:
    @pytest.fixture
    def storage(self, postgres_server: str, postgres_template: str) -> Iterator[RDBStorage]:
        """Optuna's storage on a migrated database."""
        url = create_database(postgres_server, postgres_template)
        storage = RDBStorage(url)
        yield storage
        storage.engine.dispose()
        drop_database(postgres_server, url)

    test_delete_study = StorageTestCase.test_delete_study
    test_set_and_get_study_directions = StorageTestCase.test_set_and_get_study_directions
    test_create_new_trial = StorageTestCase.test_create_new_trial
    test_set_trial_state_values_for_state = StorageTestCase.test_set_trial_state_values_for_state
    test_set_trial_state_values_for_floats = StorageTestCase.test_set_trial_state_values_for_floats
    test_set_trial_state_values_for_values = StorageTestCase.test_set_trial_state_values_for_values
    test_set_trial_intermediate_value = StorageTestCase.test_set_trial_intermediate_value
    test_check_trial_is_updatable = StorageTestCase.test_check_trial_is_updatable
