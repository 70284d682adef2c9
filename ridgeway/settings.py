"""Settings: RIDGEWAY_* environment variables, with the unit in the name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# They may lie in a file that RIDGEWAY_..._FILE names.
SECRETS = ("api_key", "database_url", "webhook_secret")


class Settings(BaseSettings):
    """The choices of a deployment. docs/settings.md describes each; a test compares them."""

    model_config = SettingsConfigDict(env_prefix="RIDGEWAY_", env_ignore_empty=True, frozen=True)

    data: Path = Field(
        default=Path("ridgeway-data"), description="folder of the embedded database and store"
    )
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL; default: SQLite in the data folder"
    )
    database_pooled: bool = Field(
        default=False,
        description="whether a pooler by transactions, such as PgBouncer, is before PostgreSQL",
    )
    store_url: str | None = Field(
        default=None, description="fsspec URL; default: a folder in the data folder"
    )
    cache: Path | None = Field(
        default=None, description="folder of this machine for what lies in a store elsewhere"
    )
    cache_bytes: int = Field(default=20 * 2**30, ge=0, description="largest size of that folder")
    rows_bytes: int = Field(
        default=20 * 2**30, ge=0, description="largest size of the files of rows of a machine"
    )
    url: str = Field(default="http://127.0.0.1:8000", description="where clients find the service")
    api_key: SecretStr | None = Field(default=None, description="the key that a client sends")
    host: str = Field(default="127.0.0.1", description="address that the service listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="port that the service listens on")
    hosts: str | None = Field(
        default=None, description="further names of the service, separated by commas"
    )
    require_keys: bool | None = Field(
        default=None, description="whether every request needs a key; default: off loopback alone"
    )
    notify_hosts: str | None = Field(
        default=None, description="hosts that may be told of a job's end, separated by commas"
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="signs what they are told: whsec_ and random bytes in base64"
    )
    log_level: str = Field(
        default="info",
        pattern="^(?i:debug|info|warning|error)$",
        description="debug, info, warning or error",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="text on a terminal, JSON lines elsewhere; or one of them"
    )

    lease_seconds: float = Field(
        default=30.0, gt=0, description="how long a lease lasts unless renewed"
    )
    renew_seconds: float = Field(
        default=10.0, gt=0, description="how often a worker renews its leases"
    )
    poll_seconds: float = Field(
        default=0.1, gt=0, description="how often an idle worker asks for work"
    )
    sweep_seconds: float = Field(default=5.0, gt=0, description="how often timeouts are looked for")
    leftover_seconds: float = Field(
        default=3600.0, gt=0, description="how old a file in the store is that nothing names"
    )
    keep_jobs_days: float | None = Field(
        default=None, gt=0, description="how long a job is kept that has ended; default: for ever"
    )
    keep_audit_days: float = Field(
        default=365.0, gt=0, description="how long a line of the audit log is kept"
    )
    busy_timeout_seconds: float = Field(
        default=30.0, gt=0, description="how long a transaction waits for a lock"
    )
    request_wait_seconds: float = Field(
        default=5.0, gt=0, description="how long a request waits for the database"
    )
    max_attempts: int = Field(
        default=5, ge=1, description="workers that a trial may cost before it fails"
    )
    stall_seconds: float = Field(
        default=600.0, gt=0, description="how long one step of a worker's work may take"
    )
    checkpoint_seconds: float = Field(
        default=60.0, gt=0, description="how much training may be lost with a worker"
    )
    max_population: int | None = Field(
        default=None, ge=1, description="most trials trained as one program; default: by device"
    )
    stream_bytes: int = Field(
        default=2**31, ge=0, description="rows of a job beyond which they are read from a file"
    )
    max_upload_bytes: int = Field(
        default=256 * 2**20, gt=0, description="largest data file, unpacked too"
    )
    max_columns: int = Field(default=20_000, gt=0, description="most columns of a data file")
    max_rows: int = Field(default=5_000_000, gt=0, description="most rows of a data file")
    max_predict_bytes: int = Field(
        default=10 * 2**20, gt=0, description="largest body with rows to predict"
    )
    max_predict_rows: int = Field(default=10_000, gt=0, description="most rows predicted at once")
    max_body_bytes: int = Field(default=2**20, gt=0, description="largest JSON body of a request")

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Take a secret that is not set from the file that RIDGEWAY_..._FILE names."""
        for name in SECRETS:
            variable = f"RIDGEWAY_{name.upper()}_FILE"
            if name in given or not (path := os.environ.get(variable)):
                continue
            try:
                given = {**given, name: Path(path).read_text(encoding="utf-8").strip()}
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "is no text"
                raise ValueError(f"{variable}: {path} can't be read: {reason}") from None
        return given

    @field_validator("hosts")
    @classmethod
    def _names_alone(cls, hosts: str | None) -> str | None:
        for name in _listed(hosts):
            if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?", name):
                raise ValueError(
                    f"{name!r} is no host name; accepted: names such as ridgeway.example, without "
                    "scheme and port, separated by commas"
                )
        return hosts

    def named_hosts(self) -> list[str]:
        """Return the names in `hosts`."""
        return _listed(self.hosts)

    def resolved_database_url(self) -> str:
        """Return the database's URL; SQLite in the data folder by default."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data / 'ridgeway.db').absolute()}"

    def resolved_store_url(self) -> str:
        """Return the store's URL; a folder in the data folder by default."""
        return self.store_url or str((self.data / "store").absolute())

    def resolved_cache(self) -> Path:
        """Return the folder for copies of files of a store elsewhere; the user's by default."""
        if self.cache is not None:
            return self.cache.absolute()
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "ridgeway" / "store"

    def resolved_rows(self) -> Path:
        """Return the folder where workers keep rows that are not to be in memory."""
        return (self.data / "rows").absolute()


def refusals(error: ValidationError) -> list[str]:
    """Say of each setting that was refused which one it is and why, without its value."""
    told: list[str] = []
    for item in error.errors(include_input=False):
        name = "_".join(map(str, item["loc"])).upper()
        why = item["msg"].removeprefix("Value error, ")
        told.append(f"RIDGEWAY_{name}: {why}" if name else why)
    return told


def _listed(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]
