"""A role's model behind its prompt profile: renders a prompt, fits it into the window, calls the engine."""

from dataclasses import dataclass

from services.contracts.context import Context
from services.contracts.usage import Usage
from services.contracts.window import Window
from services.kit.metrics import Metrics
from services.kit.model import Chat, Completion, ModelClient, Target
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.prompting.profile import Profile, load_profile
from services.prompting.renderer import Renderer
from services.prompting.window import WindowOverflowError, fit


@dataclass(frozen=True)
class Prompted:
    """A model's completion of a role's prompt."""

    completion: Completion
    window: Window
    """What of the context the prompt holds."""
    adapter: str | None
    """The adapter that answered; None for the base model."""

    @property
    def usage(self) -> Usage:
        """The model calls and tokens that it cost."""
        return self.completion.usage


class PromptedModel:
    """One role's model behind its prompt profile."""

    def __init__(self, role: str, settings: RoleSettings, metrics: Metrics) -> None:
        self.role = role
        self.settings = settings
        self.profile: Profile = load_profile(settings.prompt_profile)
        self.renderer = Renderer(self.profile)
        self.client = ModelClient(role, settings, metrics)

    async def complete(
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
    ) -> Prompted:
        """Return the completion of a prompt: a context and a question about it.

        Raises:
            ProblemError: The adapter is not served, or the prompt does not fit.
            OutageError: The engine is away.
        """
        target = await self.client.resolve(adapter)
        messages, window = await self._fit(context, question, target, max_tokens)
        completion = await self.client.chat(
            messages,
            target=target,
            max_tokens=max_tokens,
            n=n,
            temperature=temperature,
            seed=seed,
            stop=stop,
            regex=regex,
        )
        return Prompted(completion, window, target.adapter)

    async def score_labels(
        self, context: Context, question: str, labels: list[str], *, adapter: str | None
    ) -> tuple[list[float], Prompted]:
        """Return the log-probabilities of labels at the first token of the answer. Raises as `complete`."""
        target = await self.client.resolve(adapter)
        messages, window = await self._fit(context, question, target, 1)
        scores, completion = await self.client.score_labels(messages, labels, target=target)
        return scores, Prompted(completion, window, target.adapter)

    async def _fit(
        self, context: Context, question: str, target: Target, max_tokens: int
    ) -> tuple[Chat, Window]:
        """Return the prompt, cut to leave room for the answer."""
        served = await target.engine.served()

        async def count(messages: Chat) -> int:
            return await self.client.count(messages, target)

        try:
            return await fit(self.renderer, context, question, limit=served.context - max_tokens, count=count)
        except WindowOverflowError as error:
            raise ProblemError(Kind.CONTEXT_TOO_LONG, f"{error} (context {served.context}).") from error
