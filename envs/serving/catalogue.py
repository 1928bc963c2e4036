"""Pages through an environment's tasks, split by split."""

from envs.serving.environment import Environment
from services.contracts.task import Task, TaskPage
from services.kit.problems import ProblemError


class Catalogue:
    """The tasks of an environment, in pages. A cursor is `<split>:<position>`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    async def page(self, split: str | None, cursor: str | None, limit: int) -> TaskPage:
        """One page of a split, or of all splits one after another.

        Raises:
            ProblemError: 422, no such split or not a cursor.
        """
        splits = self._environment.metadata.splits
        if split is not None:
            if split not in splits:
                raise ProblemError.field("split", f"there is no split {split!r}", allowed=splits)
            splits = [split]
        place = self._parse(cursor, splits)
        tasks: list[Task] = []
        following: str | None = None
        for index in range(place[0], len(splits)):
            start = place[1] if index == place[0] else 0
            stop = min(start + limit - len(tasks), self._environment.count(splits[index]))
            if stop > start:
                tasks += await self._environment.page(splits[index], start, stop)
            following = self._following(splits, index, max(start, stop))
            if len(tasks) >= limit:
                break
        total = sum(self._environment.count(name) for name in splits)
        return TaskPage(tasks=tasks, next=following, total=total)

    def _following(self, splits: list[str], index: int, position: int) -> str | None:
        if position < self._environment.count(splits[index]):
            return f"{splits[index]}:{position}"
        for later in splits[index + 1 :]:
            if self._environment.count(later):
                return f"{later}:0"
        return None

    def _parse(self, cursor: str | None, splits: list[str]) -> tuple[int, int]:
        if cursor is None:
            return 0, 0
        name, _, position = cursor.rpartition(":")
        if name not in splits or not (position.isascii() and position.isdigit()) or len(position) > 12:
            raise ProblemError.field("cursor", "not a cursor of this listing; take `next` of a page")
        return splits.index(name), int(position)
