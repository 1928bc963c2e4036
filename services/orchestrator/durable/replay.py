"""Runs an ended episode's method again, on the recorded answers alone."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from services.contracts.episode import Episode, Replay
from services.contracts.event import EpisodeStarted, Event
from services.orchestrator.durable.errors import NondeterministicError, ReplayEndError
from services.orchestrator.durable.ground import Ground
from services.orchestrator.durable.run import Answers, Branching
from services.orchestrator.durable.slots import Slots
from services.orchestrator.durable.writer import LogWriter
from services.orchestrator.ports import BudgetExhaustedError, Committed, InfrastructureError
from services.orchestrator.search import METHODS
from services.orchestrator.settings import Branches
from services.orchestrator.store.base import ROOT
from services.orchestrator.store.episodes import Record
from services.orchestrator.store.errors import UnreadableError
from services.orchestrator.store.jobs import Job


class _Nowhere:
    """Stands where the live parts would: any call is a mistake."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[NoReturn]]:
        async def refuse(*_: object) -> NoReturn:
            raise ReplayEndError(f"{name} was called live in a replay")

        return refuse


async def replay_episode(ended: Episode, record: Record, events: Sequence[Event]) -> Replay:
    """Replay and compare.

    An episode that ended early (failed or cancelled) is replayed as far as it is recorded.
    """
    method = METHODS[record.request.method]
    if not method.plays(record.version):
        detail = f"recorded by {method.name} version {record.version}; here is version {method.version}"
        return Replay(id=ended.id, calls=0, identical=False, detail=detail)
    nowhere: Any = _Nowhere()
    try:
        answers = Answers(events)
    except UnreadableError as error:
        return Replay(id=ended.id, calls=0, identical=False, detail=str(error))
    # A branch that ended by itself is run again too; one that was ended early has no end to come to.
    early = {name: closing for name, closing in answers.closed.items() if closing.failure == "cancelled"}
    answers.closed = early

    async def discard(_lines: object) -> bool:
        return False

    started = next((event.at for event in events if isinstance(event, EpisodeStarted)), ended.created_at)
    ground = Ground(
        job=Job(episode=ended.id, branch=ROOT, epoch=0, spec=b"", started=started),
        record=record,
        roles=nowhere,
        environment=nowhere,
        store=nowhere,
        writer=LogWriter(discard),
        outages={},
        live=False,
    )
    branches = Branching(ground, method, answers, Slots(math.inf), Branches.LOCAL)
    committed: Committed | None = None
    try:
        committed = await branches.run_root()
        await branches.scheduler.stop()
        detail = ""
    except NondeterministicError as error:
        return Replay(id=ended.id, calls=branches.replayed, identical=False, detail=str(error))
    except (ReplayEndError, InfrastructureError, BudgetExhaustedError) as error:
        detail = str(error)
    except Exception as error:  # the method broke then, and breaks again
        detail = f"{type(error).__name__}: {error}"
    finally:
        await branches.scheduler.halt()
    same = (committed.branch if committed else None) == (ended.result.branch if ended.result else None)
    if not same and not detail:
        detail = f"committed {committed}, recorded {ended.result}"
    return Replay(id=ended.id, calls=branches.replayed, identical=same, detail=detail, result=ended.result)
