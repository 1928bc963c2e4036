"""The orchestrator's HTTP surface."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request, Response
from redis.exceptions import RedisClusterException, RedisError
from sse_starlette.sse import EventSourceResponse

from services.contracts.adapter import PinnedAdapters
from services.contracts.episode import EPISODE_ID, Episode, EpisodeCreate, EpisodePage, Replay, State
from services.contracts.method import MethodInfo
from services.contracts.session import Metadata
from services.contracts.task import TaskPage
from services.contracts.tree import Tree
from services.kit import problems
from services.kit.app import create_app
from services.kit.problems import Kind, ProblemError
from services.orchestrator.api.admission import Admission
from services.orchestrator.api.creation import EpisodeCreator
from services.orchestrator.api.streams import KEEPALIVE, EventStreams
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.errors import OverError, UnreadableError
from services.orchestrator.store.fold import Fold
from services.orchestrator.wiring import checks_of, wired

LARGEST_PAGE = 200


@dataclass(frozen=True)
class Desk:
    """What the handlers work with."""

    store: EpisodeStore
    creator: EpisodeCreator
    streams: EventStreams

    async def episode(self, episode: str) -> Episode:
        """An episode, or 404, or 410 where it was once; 500 where its record cannot be read."""
        try:
            found = await self.store.get(episode)
        except UnreadableError as error:
            detail = f"{error}; POST /v1/episodes/{episode}/cancel ends it."
            raise ProblemError(Kind.INTERNAL, detail) from error
        if found is not None:
            return found
        if self.store.expired(episode):
            raise ProblemError(Kind.GONE, f"Episode {episode} has expired (ESPALIER_EPISODE_TTL).")
        raise ProblemError(Kind.NOT_FOUND, f"There is no episode {episode}; GET /v1/episodes lists them.")


def create(settings: OrchestratorSettings | None = None) -> FastAPI:
    """The orchestrator's app."""
    chosen = settings or OrchestratorSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with wired(chosen) as wiring:
            store = wiring.episodes
            admission = Admission(store, chosen, app.state.metrics.registry)
            creator = EpisodeCreator(store, wiring.environments, wiring.roles, chosen, admission)
            app.state.wiring = wiring
            app.state.desk = Desk(store, creator, EventStreams(store, chosen.max_streams))
            yield

    checks = checks_of(chosen, lambda: app.state.wiring)
    app = create_app("orchestrator", settings=chosen, lifespan=lifespan, checks=checks)
    app.add_exception_handler(RedisError, _on_redis_error)
    app.add_exception_handler(RedisClusterException, _on_redis_error)
    _add_episodes(app)
    _add_catalogue(app)
    return app


def _desk(request: Request) -> Desk:
    return request.app.state.desk


async def _on_redis_error(request: Request, error: Exception) -> Response:
    problem = ProblemError(Kind.UNAVAILABLE, f"Redis is away: {error}; try again later.", retry_after=2)
    return problems.answer(problem, request.url.path, request.state.request_id)


def _add_episodes(app: FastAPI) -> None:
    @app.post("/v1/episodes", tags=["episodes"], status_code=202)
    async def create_episode(
        request: Request,
        response: Response,
        body: EpisodeCreate,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> Episode:
        """Queue an episode. The same `Idempotency-Key` with the same body gets the same episode."""
        desk = _desk(request)
        episode, _ = await desk.creator.create(body, idempotency_key, request.state.tenant)
        response.headers["Location"] = f"/v1/episodes/{episode}"
        return await desk.episode(episode)

    @app.get("/v1/episodes", tags=["episodes"])
    async def list_episodes(
        request: Request,
        state: State | None = None,
        environment: Annotated[str | None, Query(max_length=100)] = None,
        method: Annotated[str | None, Query(max_length=50)] = None,
        cursor: Annotated[str | None, Query(pattern=EPISODE_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
    ) -> EpisodePage:
        """The newest episodes first. A filtered page may hold fewer than `limit` and still have a next."""
        episodes, following = await _desk(request).store.page(cursor, limit)

        def wanted(found: Episode) -> bool:
            return (
                state in (None, found.state)
                and environment in (None, found.request.environment)
                and method in (None, found.request.method)
            )

        return EpisodePage(episodes=[found for found in episodes if wanted(found)], next=following)

    @app.get("/v1/episodes/{episode}", tags=["episodes"])
    async def get_episode(request: Request, episode: str) -> Episode:
        """An episode; while it runs, with the figures so far."""
        desk = _desk(request)
        found = await desk.episode(episode)
        if found.figures is None and found.state is not State.QUEUED:
            events = await desk.store.events(episode)
            ended = found.ended_at or (events[-1].at if events else found.created_at)
            found = found.model_copy(update={"figures": Fold(events).figures(ended)})
        return found

    @app.post("/v1/episodes/{episode}/cancel", tags=["episodes"])
    async def cancel_episode(request: Request, episode: str) -> Episode:
        """End an episode; what runs for it is stopped within a second. An ended one stays as it is."""
        desk = _desk(request)
        if not await desk.store.exists(episode):
            return await desk.episode(episode)
        with suppress(OverError):
            await desk.store.cancel(episode)
        try:
            return await desk.episode(episode)
        except ProblemError as error:
            if error.kind is not Kind.INTERNAL:
                raise
            raise ProblemError(Kind.GONE, f"Episode {episode} is over; its record cannot be read.") from error

    @app.get("/v1/episodes/{episode}/tree", tags=["episodes"])
    async def get_tree(request: Request, episode: str) -> Tree:
        """The branches and their steps."""
        desk = _desk(request)
        await desk.episode(episode)
        return Fold(await desk.store.events(episode)).tree(episode)

    @app.get("/v1/episodes/{episode}/events", tags=["episodes"])
    async def follow_events(
        request: Request,
        episode: str,
        scores: bool = True,
        last_event_id: Annotated[str | None, Header(max_length=50)] = None,
    ) -> Response:
        """The log as server-sent events, to its end; `Last-Event-ID` resumes.

        204 where the episode is over and nothing follows that event: an `EventSource` then stops.
        """
        desk = _desk(request)
        await desk.episode(episode)
        after = await desk.streams.place(episode, last_event_id or "")
        if after is None:
            return Response(status_code=204)
        events = desk.streams.follow(episode, after, desk.streams.admit(), scores=scores)
        return EventSourceResponse(events, ping=KEEPALIVE, headers={"Cache-Control": "no-store"})

    @app.post("/v1/episodes/{episode}/replay", tags=["episodes"])
    async def replay(request: Request, episode: str) -> Replay:
        """Run the method again on the recorded answers, and compare."""
        desk = _desk(request)
        found = await desk.episode(episode)
        record = await desk.store.record(episode)
        if record is None or not found.state.over:
            raise ProblemError(
                Kind.CONFLICT, f"Episode {episode} is {found.state}; only an ended one is replayed."
            )
        return await replay_episode(found, record, await desk.store.events(episode))


def _add_catalogue(app: FastAPI) -> None:
    @app.get("/v1/methods", tags=["catalogue"])
    async def methods() -> list[MethodInfo]:
        """The methods, and which parameters each uses."""
        return [
            MethodInfo(
                name=method.name,
                version=method.version,
                uses=sorted(method.uses),
                feedback=sorted(method.feedback),
                params=method.params.model_json_schema().get("properties", {}),
            )
            for method in METHODS.values()
        ]

    @app.get("/v1/adapters/pinned", tags=["catalogue"])
    async def count_pinned(request: Request) -> PinnedAdapters:
        """How many live episodes use each adapter."""
        _, adapters = await _desk(request).store.count_live()
        return PinnedAdapters(adapters=adapters)

    @app.get("/v1/environments", tags=["catalogue"])
    async def environments(request: Request) -> list[str]:
        """The environments that are configured."""
        return _desk(request).creator.names

    @app.get("/v1/environments/{name}", tags=["catalogue"])
    async def environment(request: Request, name: str) -> Metadata:
        """An environment's metadata."""
        return await _desk(request).creator.metadata(name)

    @app.get("/v1/environments/{name}/tasks", tags=["catalogue"])
    async def tasks(
        request: Request,
        name: str,
        split: Annotated[str | None, Query(max_length=100)] = None,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> TaskPage:
        """The tasks of an environment."""
        return await _desk(request).creator.environment(name).tasks(split, cursor, limit)
