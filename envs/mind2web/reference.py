"""The recorded steps whose right element is known, for those who make training data.

The server never imports it. The half that is only reported has no references.
"""

from envs.mind2web import official
from envs.mind2web.record import Record
from envs.mind2web.settings import Mind2webSettings
from envs.mind2web.tasks import make_table
from envs.serving.environment import UnknownTaskError
from envs.serving.tasks import DEVELOPMENT


class References:
    """The references of the steps that a server with the same settings plays."""

    def __init__(self) -> None:
        settings = Mind2webSettings()
        recorded = (
            official.read(settings.mind2web_data, settings.mind2web_top_k, settings.mind2web_candidates)
            if settings.mind2web_data is not None
            else {}
        )
        self._table = make_table(recorded, 0)

    def find(self, task_id: str) -> Record | None:
        """Return the record of a step of the development half, or None for any other."""
        if task_id.partition("/")[0] != DEVELOPMENT:
            return None
        try:
            return self._table.find(task_id)
        except UnknownTaskError:
            return None
