"""One call of the actor service."""

from typing import Any

import httpx

CONTEXT = {
    "environment": {"name": "house"},
    "task": "put a mug on a shelf",
    "observation": "You are in a room.",
}


def propose(url: str, **fields: Any) -> dict[str, Any]:
    """Return the actor's answer to a request for one candidate."""
    answer = httpx.post(f"{url}/v1/actions", json={"context": CONTEXT, **fields}, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()
