"""Which adapters live episodes are pinned to."""

from espalier.client import Espalier

LIVE = ("queued", "running")
PAGE = 100


def pinned(orchestrator: str) -> set[str]:
    """The adapters that live episodes are pinned to.

    Raises:
        EspalierError: The orchestrator refused, or does not answer.
    """
    found: set[str] = set()
    with Espalier(orchestrator) as episodes:
        for state in LIVE:
            cursor: str | None = None
            while True:
                page = episodes.list(state=state, cursor=cursor, limit=PAGE)
                found |= {one.adapter for one in page.episodes if one.adapter}
                cursor = page.next
                if cursor is None:
                    break
    return found
