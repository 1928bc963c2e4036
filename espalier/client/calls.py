"""Every call of the API as data, so that the sync and the async client share all but the sending."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from services.contracts.action import ActionRequest, Actions
from services.contracts.adapter import AdapterLoad, Adapters, PinnedAdapters
from services.contracts.episode import Episode, EpisodeCreate, EpisodePage, Replay
from services.contracts.method import MethodInfo
from services.contracts.plan import Plan, PlanRequest
from services.contracts.reflection import Reflection, ReflectionRequest
from services.contracts.session import ForkRequest, Metadata, SessionCreate, SessionState, StepRequest
from services.contracts.task import Task, TaskPage
from services.contracts.tree import Tree
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

Reply = TypeVar("Reply")


@dataclass(frozen=True)
class Call(Generic[Reply]):
    """One request, and the type of its answer."""

    method: str
    path: str
    reply: type[Reply]
    body: BaseModel | None = None
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def json(self) -> Any:
        """The body as JSON; what was not set is left to the server's defaults."""
        return None if self.body is None else self.body.model_dump(mode="json", exclude_unset=True)

    def read(self, content: bytes) -> Reply:
        """The answer, validated."""
        if not content or self.reply is type(None):
            return None  # pyright: ignore[reportReturnType]
        return TypeAdapter(self.reply).validate_json(content, extra="ignore")


def _set(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def create_episode(body: EpisodeCreate, idempotency_key: str | None) -> Call[Episode]:
    """Queue an episode."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return Call("POST", "/v1/episodes", Episode, body=body, headers=headers)


def get_episode(episode: str) -> Call[Episode]:
    """An episode."""
    return Call("GET", f"/v1/episodes/{quote(episode, safe='')}", Episode)


def list_episodes(
    state: str | None, environment: str | None, method: str | None, cursor: str | None, limit: int
) -> Call[EpisodePage]:
    """A page of episodes, the newest first."""
    params = _set(state=state, environment=environment, method=method, cursor=cursor, limit=limit)
    return Call("GET", "/v1/episodes", EpisodePage, params=params)


def cancel_episode(episode: str) -> Call[Episode]:
    """End an episode."""
    return Call("POST", f"/v1/episodes/{quote(episode, safe='')}/cancel", Episode)


def pinned_adapters() -> Call[PinnedAdapters]:
    """How many live episodes use each adapter."""
    return Call("GET", "/v1/adapters/pinned", PinnedAdapters)


def get_tree(episode: str) -> Call[Tree]:
    """An episode's branches and steps."""
    return Call("GET", f"/v1/episodes/{quote(episode, safe='')}/tree", Tree)


def replay(episode: str) -> Call[Replay]:
    """Run the method again on the recorded answers."""
    return Call("POST", f"/v1/episodes/{quote(episode, safe='')}/replay", Replay)


def methods() -> Call[list[MethodInfo]]:
    """List the methods."""
    return Call("GET", "/v1/methods", list[MethodInfo])


def environments() -> Call[list[str]]:
    """The environments that are configured."""
    return Call("GET", "/v1/environments", list[str])


def environment(name: str) -> Call[Metadata]:
    """Return an environment's metadata."""
    return Call("GET", f"/v1/environments/{quote(name, safe='')}", Metadata)


def environment_tasks(name: str, split: str | None, cursor: str | None, limit: int) -> Call[TaskPage]:
    """A page of an environment's tasks, through the orchestrator."""
    params = _set(split=split, cursor=cursor, limit=limit)
    return Call("GET", f"/v1/environments/{quote(name, safe='')}/tasks", TaskPage, params=params)


def metadata() -> Call[Metadata]:
    """Return the metadata of an environment server."""
    return Call("GET", "/metadata", Metadata)


def tasks(split: str | None, cursor: str | None, limit: int) -> Call[TaskPage]:
    """A page of an environment server's tasks."""
    return Call("GET", "/v1/tasks", TaskPage, params=_set(split=split, cursor=cursor, limit=limit))


def task(task_id: str) -> Call[Task]:
    """One task of an environment server."""
    return Call("GET", f"/v1/tasks/{quote(task_id)}", Task)


def create_session(body: SessionCreate) -> Call[SessionState]:
    """Open a session."""
    return Call("POST", "/v1/sessions", SessionState, body=body)


def step_session(session: str, body: StepRequest) -> Call[SessionState]:
    """Take a step."""
    return Call("POST", f"/v1/sessions/{quote(session, safe='')}/steps", SessionState, body=body)


def fork_session(session: str, body: ForkRequest) -> Call[SessionState]:
    """Fork a session."""
    return Call("POST", f"/v1/sessions/{quote(session, safe='')}/forks", SessionState, body=body)


def get_session(session: str) -> Call[SessionState]:
    """A session as it is."""
    return Call("GET", f"/v1/sessions/{quote(session, safe='')}", SessionState)


def close_session(session: str) -> Call[None]:
    """Close a session."""
    return Call("DELETE", f"/v1/sessions/{quote(session, safe='')}", type(None))


def act(body: ActionRequest) -> Call[Actions]:
    """Propose candidates with an actor."""
    return Call("POST", "/v1/actions", Actions, body=body)


def adapters() -> Call[Adapters]:
    """The adapters that an actor serves."""
    return Call("GET", "/v1/adapters", Adapters)


def load_adapter(body: AdapterLoad) -> Call[Adapters]:
    """Load an adapter into an actor's engine."""
    return Call("POST", "/v1/adapters", Adapters, body=body)


def unload_adapter(name: str) -> Call[Adapters]:
    """Take an adapter out of an actor's engine."""
    return Call("DELETE", f"/v1/adapters/{quote(name, safe='')}", Adapters)


def judge_subtask(body: SubtaskQuestion) -> Call[Verdict]:
    """Judge whether a subtask is done."""
    return Call("POST", "/v1/verdicts/subtask", Verdict, body=body)


def judge_selection(body: SelectionQuestion) -> Call[Choice]:
    """Judge which candidate is best."""
    return Call("POST", "/v1/verdicts/selection", Choice, body=body)


def judge_path(body: PathQuestion) -> Call[PathVerdict]:
    """Judge whether a path is good enough, or which is best."""
    return Call("POST", "/v1/verdicts/path", PathVerdict, body=body)


def judge_value(body: ValueQuestion) -> Call[Values]:
    """Judge how likely success is from each of several states."""
    return Call("POST", "/v1/verdicts/value", Values, body=body)


def reflect(body: ReflectionRequest) -> Call[Reflection]:
    """Reflect on a path that was not good enough."""
    return Call("POST", "/v1/reflections", Reflection, body=body)


def plan(body: PlanRequest) -> Call[Plan]:
    """Plan a task's subtasks."""
    return Call("POST", "/v1/plans", Plan, body=body)
