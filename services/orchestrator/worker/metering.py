"""Counts what a tenant's model calls cost, and holds them back where it has no tokens left."""

from services.kit.failures import BusyError
from services.orchestrator.ports import AnswerT, Question, RequestT
from services.orchestrator.roles import Roles
from services.orchestrator.store.tokens import TokenStore

PART = "tenant"
"""What a limit of a tenant is called where it stands beside the parts that may be at a limit."""


class MeteredRoles:
    """The roles, for the calls of one tenant that has a limit of tokens.

    Args:
        roles: Who answers.
        store: Where tokens are counted.
        tenant: Whose calls they are.
    """

    def __init__(self, roles: Roles, store: TokenStore, tenant: str) -> None:
        self._roles = roles
        self._store = store
        self._tenant = tenant

    async def query(self, question: Question[RequestT, AnswerT], request: RequestT) -> AnswerT:
        """Return a role's answer.

        Raises:
            BusyError: The tenant has spent its tokens.
        """
        wait = (await self._store.measure_spending(self._tenant)).wait
        if wait > 0:
            raise BusyError(PART, f"{self._tenant} has spent its tokens", wait, answered=False)
        answer = await self._roles.query(question, request)
        await self._store.spend(self._tenant, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        return answer
