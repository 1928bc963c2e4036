"""The Mind2Web server: `uvicorn --factory envs.mind2web.server:create`."""

from fastapi import FastAPI

from envs.mind2web.environment import Mind2webEnvironment
from envs.mind2web.settings import Mind2webSettings
from envs.serving.server import serve


def create() -> FastAPI:
    """The app, with settings from the environment."""
    settings = Mind2webSettings()
    return serve(Mind2webEnvironment(settings), settings)
