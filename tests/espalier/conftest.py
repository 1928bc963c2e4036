"""The stack of the integration tests, for the command."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Stack, stack

__all__ = ["stack", "worker"]


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Iterator[str]:
    """One worker for all tests of a module; where it serves health and metrics."""
    _, url = stack.start_worker()
    yield url
    stack.stop_workers()
