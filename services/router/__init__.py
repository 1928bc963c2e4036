"""The router: several engine replicas behind one address, as one engine to the roles.

`vllm-router` takes the requests. Beside it, this part keeps its list of replicas: it finds them by name,
gives each new one the adapters that the others serve before any request reaches it, and takes out those that
are away.
"""

from services.router.api import create

__all__ = ["create"]
