"""Asks a role's model: the profile's prompt, fitted into the window, sent to the engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from services.contracts.context import Context
from services.contracts.usage import Usage
from services.contracts.window import Window
from services.kit.adapters import add_adapter_routes
from services.kit.app import create_app
from services.kit.metrics import Metrics
from services.kit.model import Chat, Completion, ModelClient, Target
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.prompting.profile import Profile, load_profile
from services.prompting.renderer import Renderer
from services.prompting.window import WindowOverflowError, fit


@dataclass(frozen=True)
class Asked:
    """A model's answer and how it was asked for."""

    completion: Completion
    window: Window
    adapter: str | None

    @property
    def usage(self) -> Usage:
        """What it cost."""
        return self.completion.usage


class Asker:
    """One role's way to its model."""

    def __init__(self, role: str, settings: RoleSettings, metrics: Metrics) -> None:
        self.role = role
        self.settings = settings
        self.profile: Profile = load_profile(settings.prompt_profile)
        self.renderer = Renderer(self.profile)
        self.model = ModelClient(role, settings, metrics)

    async def ask(
        self,
        context: Context,
        question: str,
        *,
        adapter: str | None,
        max_tokens: int,
        n: int = 1,
        temperature: float = 0.0,
        seed: int | None = None,
        stop: list[str] | None = None,
        regex: str | None = None,
    ) -> Asked:
        """Ask the model one question about a path.

        Raises:
            ProblemError: The adapter is not served, or the prompt does not fit.
            OutageError: The engine is not there.
        """
        target = await self.model.resolve(adapter)
        messages, window = await self._fit(context, question, target, max_tokens)
        completion = await self.model.chat(
            messages,
            target=target,
            max_tokens=max_tokens,
            n=n,
            temperature=temperature,
            seed=seed,
            stop=stop,
            regex=regex,
        )
        return Asked(completion, window, target.adapter)

    async def label_logprobs(
        self, context: Context, question: str, labels: list[str], *, adapter: str | None
    ) -> tuple[list[float], Asked]:
        """Return the log-probabilities of labels at the first token of the answer. Raises as `ask` does."""
        target = await self.model.resolve(adapter)
        messages, window = await self._fit(context, question, target, 1)
        scores, completion = await self.model.score_labels(messages, labels, target=target)
        return scores, Asked(completion, window, target.adapter)

    async def _fit(
        self, context: Context, question: str, target: Target, max_tokens: int
    ) -> tuple[Chat, Window]:
        """The prompt, cut to leave room for the answer."""
        served = await target.engine.served()

        async def count(messages: Chat) -> int:
            return await self.model.count(messages, target)

        try:
            return await fit(self.renderer, context, question, limit=served.context - max_tokens, count=count)
        except WindowOverflowError as error:
            raise ProblemError(Kind.CONTEXT_TOO_LONG, f"{error} (context {served.context}).") from error


def create_role(role: str, settings: RoleSettings, add_routes: Callable[[FastAPI, Asker], None]) -> FastAPI:
    """The app of a role service."""

    async def engine() -> str | None:
        return await app.state.asker.model.check(needs_labels=role == "judge")

    def facts() -> dict[str, object]:
        return {"engine": app.state.asker.model.engine.abilities.describe()}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.asker.model.close()

    app = create_app(role, settings=settings, lifespan=lifespan, checks={"model": engine}, facts=facts)
    app.state.asker = Asker(role, settings, app.state.metrics)
    add_routes(app, app.state.asker)
    add_adapter_routes(app, app.state.asker.model, app.state.asker.profile.id, role)
    return app
