"""The OS server: `uvicorn --factory envs.os_interaction.server:create`."""

from fastapi import FastAPI

from envs.os_interaction.environment import OsEnvironment
from envs.os_interaction.settings import OsSettings
from envs.serving.server import serve


def create() -> FastAPI:
    """The app, with settings from the environment."""
    settings = OsSettings()
    return serve(OsEnvironment(settings), settings)
