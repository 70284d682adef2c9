"""Fixtures: the service behind a real HTTP server, on each database in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from serving import Served, serve

from ridgeway.settings import Settings


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a service under test; override this fixture for others."""
    return Settings(data=tmp_path, database_url=database_url)  # type: ignore[arg-type]


@pytest.fixture
def served(service_settings: Settings) -> Iterator[Served]:
    """A running service."""
    with serve(service_settings) as running:
        yield running


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """A client of a running service."""
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client
