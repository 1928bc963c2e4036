"""The ALFWorld server: `uvicorn --factory envs.alfworld.server:create`."""

from fastapi import FastAPI

from envs.alfworld.environment import AlfworldEnvironment
from envs.alfworld.settings import AlfworldSettings
from envs.serving.server import serve


def create() -> FastAPI:
    """The app, with settings from the environment."""
    settings = AlfworldSettings()
    return serve(AlfworldEnvironment(settings), settings)
