"""The WebShop server: `uvicorn --factory envs.webshop.server:create`."""

from fastapi import FastAPI

from envs.serving.server import serve
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.settings import WebshopSettings


def create() -> FastAPI:
    """The app, with settings from the environment."""
    settings = WebshopSettings()
    return serve(WebshopEnvironment(settings), settings)
