"""What the database server reads from its environment variables."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from envs.serving.settings import EnvironmentSettings


class EngineKind(StrEnum):
    """What runs SQL."""

    SQLITE = "sqlite"
    """SQLite in worker processes, with MySQL's meaning by sqlglot and our functions."""
    MYSQL = "mysql"
    """A MySQL or MariaDB server."""


class DbSettings(EnvironmentSettings):
    """Settings of the database server."""

    model_config = SettingsConfigDict(populate_by_name=True)

    agentbench_data: Path | None = None
    """AgentBench's `data`, or a folder that holds `dev.jsonl`; without it only generated tasks are played."""
    dbbench_generated: int = Field(default=5000, ge=0, le=1_000_000)
    """How many tasks each generated split has; 0 for none."""
    dbbench_seed: int = Field(default=0, ge=0)
    """The seed of the generated tasks."""
    dbbench_sources: Path | None = None
    """A folder with `wikisql/` and `wikitablequestions/`, for tasks over tables of Wikipedia."""
    dbbench_sourced: int = Field(default=5000, ge=0, le=1_000_000)
    """How many tasks each split over tables of Wikipedia has."""
    dbbench_engine: EngineKind = EngineKind.SQLITE
    """`sqlite` needs nothing else; `mysql` is a MySQL or MariaDB server at `ESPALIER_DBBENCH_URL`."""
    dbbench_url: SecretStr = SecretStr("")
    """`mysql://user:password@host:port` of an account that makes databases and users (`?socket=`)."""
    dbbench_client_host: str = "%"
    """The host from which this server's sessions reach the MySQL server, as its accounts name it."""
    dbbench_statement_seconds: float = Field(default=5.0, gt=0, le=20)
    """One statement's deadline, seconds."""
    dbbench_result_chars: int = Field(default=800, ge=100, le=100_000)
    """What is shown of a result is cut after this many characters (AgentBench: 800)."""
    dbbench_database_bytes: int = Field(default=4 * 2**20, ge=2**16, le=2**30)
    """The largest database of a session, bytes."""
    dbbench_workers: int = Field(default=2, ge=1, le=256)
    """SQLite: worker processes, each for one statement at a time."""
    dbbench_worker_memory: int = Field(default=512, ge=256)
    """SQLite: what a worker may take of address space, MiB."""
    dbbench_connections: int = Field(default=16, ge=1, le=512)
    """MySQL: statements that run at once."""
