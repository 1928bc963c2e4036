"""The OpenEnv part: `uvicorn --factory envs.openenv.server:create`."""

from fastapi import FastAPI

from envs.openenv.environment import OpenEnvEnvironment
from envs.openenv.settings import OpenEnvSettings
from envs.serving.server import serve


def create() -> FastAPI:
    """The app, with settings from the environment."""
    settings = OpenEnvSettings()
    return serve(OpenEnvEnvironment(settings), settings)
