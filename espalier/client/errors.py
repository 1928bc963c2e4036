"""What a client raises."""

import httpx
from pydantic import ValidationError

from services.contracts.problem import PROBLEM_MEDIA_TYPE, Problem


class EspalierError(Exception):
    """A part answered with an error, or could not be reached.

    Attributes:
        problem: Its answer (RFC 9457); status 0 where it could not be reached.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem


def unreachable(url: str, error: httpx.HTTPError) -> EspalierError:
    """The error for a part that does not answer."""
    detail = f"{url} does not answer ({type(error).__name__}); is the stack up? Run `espalier status`."
    return EspalierError(Problem.model_construct(title="Not reachable", status=0, detail=detail))


def refused(response: httpx.Response) -> EspalierError:
    """Return the error for an answer that is not the API's."""
    if response.headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
        try:
            return EspalierError(Problem.model_validate_json(response.content))
        except ValidationError:
            pass
    detail = f"{response.request.url} answered {response.status_code}: {response.text[:300]}"
    return EspalierError(Problem(title="Unexpected answer", status=response.status_code, detail=detail))
