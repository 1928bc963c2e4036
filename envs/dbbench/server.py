"""The database server: `uvicorn --factory envs.dbbench.server:create`."""

from fastapi import FastAPI

from envs.dbbench.environment import DbEnvironment
from envs.dbbench.settings import DbSettings
from envs.serving.server import serve


def create() -> FastAPI:
    """The app, with settings from the environment."""
    settings = DbSettings()
    return serve(DbEnvironment(settings), settings)
