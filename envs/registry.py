"""The environments, one entry each.

`espalier serve`, `espalier up` and `espalier construct` read this registry. A test compares with it what
cannot read it: compose, images, lists of packages, import contracts, prompts, the orchestrator's default
addresses and the documentation (`tests/envs/test_envs_registry.py`). A package outside this repository
registers an environment by an entry point of the group `espalier.environments` that leads to an `Entry`.
"""

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

GROUP = "espalier.environments"
"""The group of entry points."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One environment, as the rest of the stack sees it. Its folder has the same files as every other."""

    name: str
    """As episodes and tasks name it."""
    package: str
    """Its folder as a Python package; `<package>.server:create` makes its app."""
    port: int
    """Where it listens by default."""
    about: str
    """What is played, in a line."""
    settings: str
    """The class in `<package>.settings`."""
    expert: str = ""
    """The class in `<package>.expert` that plays for training data; empty where there is none."""
    reference: bool = False
    """Whether `<package>.reference.References` has solutions that come with the tasks, for training data."""
    licences: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The licences of its tasks by split; `""` is for the splits that are not named."""
    data: str = ""
    """The variable that names the folder of the benchmark's own data; empty where it takes none."""
    extras: tuple[str, ...] = ()
    """The optional dependencies of `pyproject.toml` that it needs."""
    image: str = "environments"
    """The target of `deploy/docker/Dockerfile` that has what it needs."""
    standalone: bool = True
    """Whether it plays without further settings, so that `espalier up` starts it."""

    @property
    def factory(self) -> str:
        """Where its app is made, as uvicorn takes it."""
        return f"{self.package}.server:create"


SHIPPED = (
    Entry(
        name="alfworld",
        package="envs.alfworld",
        port=8201,
        about="household tasks in text; a native engine, compared with TextWorld step by step",
        settings="AlfworldSettings",
        expert="Expert",
        data="ALFWORLD_DATA",
        extras=("alfworld",),
        image="alfworld",
        licences=MappingProxyType({"": "MIT"}),
    ),
    Entry(
        name="webshop",
        package="envs.webshop",
        port=8202,
        about="a shop with a real search index and the benchmark's reward",
        settings="WebshopSettings",
        expert="FirstFit",
        data="ESPALIER_WEBSHOP_DATA",
        extras=("webshop",),
        licences=MappingProxyType({"": "MIT"}),
    ),
    Entry(
        name="mind2web",
        package="envs.mind2web",
        port=8203,
        about="the next element and operation on a web page, by multiple choice",
        settings="Mind2webSettings",
        expert="Expert",
        reference=True,
        data="ESPALIER_MIND2WEB_DATA",
        licences=MappingProxyType(
            {"": "MIT", "steps": "CC BY 4.0", "development": "CC BY 4.0", "reported": "CC BY 4.0"}
        ),
    ),
    Entry(
        name="os_interaction",
        package="envs.os_interaction",
        port=8204,
        about="bash, in a sandbox a session that the kernel makes",
        settings="OsSettings",
        expert="Expert",
        reference=True,
        data="ESPALIER_AGENTBENCH_DATA",
        image="os-interaction",
        licences=MappingProxyType({"": "Apache-2.0", "generated_train": "MIT", "generated_valid": "MIT"}),
    ),
    Entry(
        name="dbbench",
        package="envs.dbbench",
        port=8205,
        about="SQL, on SQLite that means what MySQL means, or on MySQL",
        settings="DbSettings",
        expert="Expert",
        reference=True,
        data="ESPALIER_AGENTBENCH_DATA",
        extras=("dbbench",),
        licences=MappingProxyType(
            {"": "MIT", "dev": "Apache-2.0", "development": "Apache-2.0", "reported": "Apache-2.0"}
        ),
    ),
    Entry(
        name="openenv",
        package="envs.openenv",
        port=8210,
        about="any server that speaks OpenEnv",
        settings="OpenEnvSettings",
        standalone=False,
    ),
)
"""The environments of this repository."""


class RegistryWarning(UserWarning):
    """An installed environment is left out."""


def list_standalone() -> list[str]:
    """Return the names of the environments that `espalier up` can start."""
    return [entry.name for entry in load_environments().values() if entry.standalone]


@functools.cache
def load_environments() -> Mapping[str, Entry]:
    """Return all entries by name: the shipped ones, then those of installed packages.

    A package whose entry cannot be used is left out with a `RegistryWarning`.
    """
    found = {entry.name: entry for entry in SHIPPED}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        obstacle = _add(found, point)
        if obstacle:
            warnings.warn(
                f"the environment {point.name!r} is left out: {obstacle}", RegistryWarning, stacklevel=2
            )
    return MappingProxyType(found)


def _add(found: dict[str, Entry], point: EntryPoint) -> str:
    """Add an installed environment; return why it cannot be added, or nothing."""
    try:
        entry = point.load()
    except Exception as error:  # whatever a package raises, the others go on
        return f"{point.value} cannot be loaded ({type(error).__name__}: {error})"
    if not isinstance(entry, Entry):
        return f"{point.value} is a {type(entry).__name__}, not an envs.registry.Entry"
    if entry.name != point.name:
        return f"its entry is named {entry.name!r}"
    for other in found.values():
        if entry.name == other.name:
            return "there is an environment of this name"
        if entry.port == other.port:
            return f"{other.name} has its port, {entry.port}"
    found[entry.name] = entry
    return ""
