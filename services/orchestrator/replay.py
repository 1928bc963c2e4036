"""Runs an ended episode's method again, on the recorded answers alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from services.contracts.episode import Episode, Replay
from services.contracts.event import Event
from services.orchestrator.ports import Committed, InfrastructureError
from services.orchestrator.runner import BranchRunner
from services.orchestrator.search import METHODS
from services.orchestrator.store.episodes import NewEpisode
from services.orchestrator.store.fold import Answers
from services.orchestrator.world import Ground, NondeterministicError, ReplayEndError
from services.orchestrator.writer import LogWriter


class _Nowhere:
    """Stands where the live parts would: any call is a mistake."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[NoReturn]]:
        async def refuse(*_: object) -> NoReturn:
            raise ReplayEndError(f"{name} was called live in a replay")

        return refuse


async def replay_episode(told: Episode, record: NewEpisode, events: Sequence[Event]) -> Replay:
    """Replay and compare.

    An episode that ended early (failed or cancelled) is replayed as far as it is recorded.
    """
    method = METHODS[record.request.method]
    if method.version != record.version:
        detail = f"recorded by {method.name} version {record.version}; here is version {method.version}"
        return Replay(id=told.id, calls=0, identical=False, detail=detail)
    nowhere: Any = _Nowhere()
    answers = Answers(events)
    answers.closed = {}  # a child is run again too, not taken from its end

    async def discard(_batch: object) -> None:
        return None

    async def nothing() -> None:
        return None

    ground = Ground(
        episode=told.id,
        request=record.request,
        roles=nowhere,
        environment=nowhere,
        writer=LogWriter(discard),
        outage_deadline=lambda: None,
        on_answer=nothing,
        done_means_success=record.done_means_success,
        live=False,
    )

    async def take(_branch: str) -> int:
        return 0

    branches = BranchRunner(ground, method, record, answers, take)
    committed: Committed | None = None
    try:
        committed = await branches.root(0)
        detail = ""
    except NondeterministicError as error:
        return Replay(id=told.id, calls=branches.replayed, identical=False, detail=str(error))
    except (ReplayEndError, InfrastructureError) as error:
        detail = str(error)
    same = (committed.branch if committed else None) == (told.result.branch if told.result else None)
    if not same and not detail:
        detail = f"committed {committed}, recorded {told.result}"
    return Replay(id=told.id, calls=branches.replayed, identical=same, detail=detail, result=told.result)
