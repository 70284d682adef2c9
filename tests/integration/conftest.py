"""Fixtures: the service behind a real HTTP server, and simulated workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from nursery import Crew, Nursery
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


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """A process that forks simulated workers."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def crew(nursery: Nursery, database_url: str, tmp_path: Path) -> Iterator[Crew]:
    """Simulated workers on each database in turn; a test that fails shows what they wrote."""
    crew = Crew(nursery, database_url, tmp_path / "diary")
    yield crew
    print(crew.diary.read_text()[-4000:])
    crew.close()
