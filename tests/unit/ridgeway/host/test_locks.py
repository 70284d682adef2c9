"""One `ridgeway serve` at a time has an SQLite database, from its very first start on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ridgeway.errors import Conflict, InvalidInput
from ridgeway.host.locks import locked_database


def test_a_database_that_is_yet_to_be_made_is_locked_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'ridgeway.db'}"
    in_use = pytest.raises(Conflict, match="is in use by another `ridgeway serve`")
    with locked_database(url), in_use, locked_database(url):
        pass
    with locked_database(url):
        pass


def test_a_folder_that_can_not_be_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path / 'file' / 'ridgeway.db'}"
    refused = pytest.raises(InvalidInput, match="RIDGEWAY_DATABASE_URL: can't be locked")
    with refused, locked_database(url):
        pass
