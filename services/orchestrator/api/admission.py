"""Which episodes are let in: limits of all episodes and of each tenant, and the answers at them."""

from prometheus_client import CollectorRegistry, Counter

from services.kit.metrics import OTHER
from services.kit.problems import Kind, ProblemError
from services.orchestrator.settings import EVERYONE, OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore

FULL_WAIT = 5.0
"""`Retry-After` where too many episodes are live, seconds."""
REASONS = ("live_episodes", "tenant_episodes", "tenant_tokens")


class Admission:
    """Refuses episodes at a limit, and counts what it refuses.

    Args:
        store: Where tenants are counted.
        settings: The limits.
        registry: Where refusals are counted.
    """

    def __init__(
        self, store: EpisodeStore, settings: OrchestratorSettings, registry: CollectorRegistry
    ) -> None:
        self._store = store
        self._settings = settings
        self._rejected = Counter(
            "espalier_rejected_total",
            "Episodes that were refused at a limit.",
            ["reason", "tenant"],
            registry=registry,
        )
        for tenant in (OTHER, *settings.tenant_limits):
            if tenant != EVERYONE:
                for reason in REASONS:
                    self._rejected.labels(reason, tenant)

    async def check_tokens(self, tenant: str) -> None:
        """Refuse a tenant that has spent its tokens.

        Raises:
            ProblemError: It has.
        """
        spending = await self._store.measure_spending(tenant)
        if spending.wait > 0:
            limit = self._settings.limits_of(tenant).tokens_per_minute
            raise self._reject(
                "tenant_tokens",
                tenant,
                f"Tenant {tenant} has spent {spending.tokens} tokens that are not made good yet, and may "
                f"spend {limit} a minute (tokens_per_minute in ESPALIER_TENANT_LIMITS); its episodes wait.",
                spending.wait,
            )

    async def refuse_crowded(self, tenant: str) -> ProblemError:
        """Return the answer to a tenant that has as many live episodes as it may have."""
        live = await self._store.count_tenant(tenant)
        limit = self._settings.limits_of(tenant).episodes
        share = f", an equal share in each of {self._settings.partitions} partitions"
        return self._reject(
            "tenant_episodes",
            tenant,
            f"Tenant {tenant} has {live} episodes queued or running, and may have {limit}"
            f"{share if self._settings.partitions > 1 else ''} (episodes in ESPALIER_TENANT_LIMITS).",
            FULL_WAIT,
        )

    def refuse_full(self, tenant: str) -> ProblemError:
        """Return the answer where as many episodes are live as there may be."""
        limit = self._settings.max_live_episodes
        detail = f"{limit} episodes are queued or running (ESPALIER_MAX_LIVE_EPISODES)."
        return self._reject("live_episodes", tenant, detail, FULL_WAIT)

    def _reject(self, reason: str, tenant: str, detail: str, wait: float) -> ProblemError:
        self._rejected.labels(reason, self._settings.show_tenant(tenant)).inc()
        return ProblemError(Kind.TOO_MANY, detail, retry_after=wait)
