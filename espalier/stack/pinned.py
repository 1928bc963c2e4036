"""The adapters that live episodes are pinned to."""

from espalier.client import Espalier, EspalierError

LIVE = ("queued", "running")
PAGE = 100


def list_pinned(orchestrator: str) -> set[str]:
    """Return the adapters that live episodes are pinned to.

    The orchestrator counts them: the cost does not grow with the episodes that it keeps.

    Raises:
        EspalierError: The orchestrator refused, or does not answer.
    """
    with Espalier(orchestrator) as client:
        try:
            return set(client.pinned_adapters().adapters)
        except EspalierError as error:
            if error.problem.status != 404:
                raise
        return _collect_pinned(client)  # an orchestrator of the release before, which does not count them


def _collect_pinned(client: Espalier) -> set[str]:
    found: set[str] = set()
    for state in LIVE:
        cursor: str | None = None
        while True:
            page = client.list(state=state, cursor=cursor, limit=PAGE)
            found |= {episode.adapter for episode in page.episodes if episode.adapter}
            cursor = page.next
            if cursor is None:
                break
    return found
