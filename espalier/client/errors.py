"""What a client raises."""

import httpx
from pydantic import ValidationError

from services.contracts.problem import PROBLEM_MEDIA_TYPE, Problem

LONGEST_NUMBER = 9
"""Digits of a `Retry-After` that is believed."""


class EspalierError(Exception):
    """A part answered with an error, or could not be reached.

    Attributes:
        problem: Its answer (RFC 9457); status 0 where it could not be reached.
        retry_after: When to try again, seconds, where the part has answered so (RFC 9110, section 10.2.3).
    """

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after = retry_after


def unreachable(url: str, error: httpx.HTTPError) -> EspalierError:
    """The error for a part that does not answer."""
    detail = f"{url} does not answer ({type(error).__name__}); is the stack up? Run `espalier status`."
    return EspalierError(Problem.model_construct(title="Not reachable", status=0, detail=detail))


def refused(response: httpx.Response) -> EspalierError:
    """Return the error for an answer that is not the API's."""
    retry_after = read_retry_after(response)
    if response.headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
        try:
            return EspalierError(Problem.model_validate_json(response.content), retry_after)
        except ValidationError:
            pass
    detail = f"{response.request.url} answered {response.status_code}: {response.text[:300]}"
    problem = Problem(title="Unexpected answer", status=response.status_code, detail=detail)
    return EspalierError(problem, retry_after)


def read_retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After`; None where it is absent or a date."""
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() and text.isascii() and len(text) <= LONGEST_NUMBER else None
