"""What the sandbox tests start from."""

import asyncio

import pytest

from envs.os_interaction.sandbox.base import Base
from envs.os_interaction.sandbox.limits import Limits
from envs.os_interaction.sandbox.sandbox import Sandbox, Start
from envs.serving.environment import EngineUnavailableError


def start_or_skip(limits: Limits) -> Start:
    """Return what a sandbox is made of; the test is skipped where none can be made."""
    how = Start(Base.read(), limits)

    async def tried() -> None:
        await (await Sandbox.start(how)).close()

    try:
        asyncio.run(tried())
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    return how
