"""The judge's HTTP surface."""

from fastapi import FastAPI

from services.contracts.reflection import Reflection, ReflectionRequest
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    ValueQuestion,
    Values,
    Verdict,
)
from services.judge.judge import judge_path, judge_selection, judge_subtask, judge_value
from services.judge.reflecting import reflect
from services.kit.settings import RoleSettings
from services.roles.app import create_role
from services.roles.prompted import PromptedModel


def create(settings: RoleSettings | None = None) -> FastAPI:
    """Return the judge's app."""
    return create_role("judge", settings or RoleSettings(), _add_routes)


def _add_routes(app: FastAPI, model: PromptedModel) -> None:
    @app.post("/v1/verdicts/subtask", tags=["judge"])
    async def subtask(question: SubtaskQuestion) -> Verdict:
        """Whether the subtask is done, as P(yes)."""
        return await judge_subtask(model, question)

    @app.post("/v1/verdicts/selection", tags=["judge"])
    async def selection(question: SelectionQuestion) -> Choice:
        """Which of the candidates is the best next action."""
        return await judge_selection(model, question)

    @app.post("/v1/verdicts/path", tags=["judge"])
    async def path(question: PathQuestion) -> PathVerdict:
        """Whether one path's end is good enough, or which of several paths is best."""
        return await judge_path(model, question)

    @app.post("/v1/verdicts/value", tags=["judge"])
    async def value(question: ValueQuestion) -> Values:
        """How likely success is from each of several states."""
        return await judge_value(model, question)

    @app.post("/v1/reflections", tags=["judge"])
    async def reflections(request: ReflectionRequest) -> Reflection:
        """What a path that was not good enough teaches, in words."""
        return await reflect(model, request)
