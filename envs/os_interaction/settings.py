"""What the OS server reads from its environment variables."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from envs.serving.settings import EnvironmentSettings


class OsSettings(EnvironmentSettings):
    """Settings of the OS server."""

    model_config = SettingsConfigDict(populate_by_name=True)

    max_sessions: int = Field(default=64, ge=1)
    """Live sessions; more are answered 429. Each may take `os_memory` and `os_disk`."""
    action_timeout: float = Field(default=60.0, gt=0)
    """One action's deadline, seconds; it holds for all the checks of an answer together."""
    agentbench_data: Path | None = None
    """AgentBench's `data`, or a folder with `os_interaction/*.json`. Without it only generated tasks."""
    os_generated: int = Field(default=500, ge=0, le=100_000)
    """How many tasks each generated split has; 0 for none."""
    os_seed: int = Field(default=0, ge=0)
    """The seed of the generated tasks."""
    os_variants: int = Field(default=0, ge=0, le=100)
    """How many variants of each training record of AgentBench the split `training_varied` has."""
    os_memory: int = Field(default=256, ge=32)
    """Memory of all programs of one sandbox together, MiB; over it they are killed."""
    os_disk: int = Field(default=64, ge=4)
    """Writable files of one sandbox, MiB; they are in memory."""
    os_processes: int = Field(default=64, ge=8)
    """Processes and threads of one sandbox."""
    os_cpu: int = Field(default=60, ge=1)
    """CPU time of a sandbox's programs from one command to the next, seconds; over it they are killed."""
    os_command_timeout: float = Field(default=10.0, gt=0)
    """One command's deadline, seconds; then what it started is killed, and the agent sees a note."""
    os_check_timeout: float = Field(default=10.0, gt=0)
    """The deadline of one script that prepares or checks a task, seconds."""
    os_cgroup: str = "auto"
    """Control groups: `auto`, `off`, or a folder of version 2 in which this server may make groups."""
    os_spares: int = Field(default=3, ge=0, le=64)
    """Processes kept ready to become sandboxes, about 10 MiB each; a start then takes a third of the time."""
