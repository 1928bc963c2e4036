"""Creates episodes: the idempotency key is looked up first, then everything is checked, then written."""

import time

from pydantic import ValidationError

from services.contracts.adapter import Adapters
from services.contracts.context import MAX_TEXT, MAX_TURNS, Brief
from services.contracts.episode import EpisodeCreate
from services.contracts.problem import FieldError
from services.contracts.session import DoneMeans, Metadata, TerminalAction
from services.kit.keys import LOCAL
from services.kit.problems import Kind, ProblemError
from services.kit.tracing import current_traceparent
from services.orchestrator.api.admission import Admission
from services.orchestrator.cards import Cards
from services.orchestrator.environment_servers import HttpEnvironment
from services.orchestrator.identity import digest
from services.orchestrator.roles import HttpRoles
from services.orchestrator.search import METHODS, Method
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, Record
from services.orchestrator.store.errors import CrowdedError, FullError, KeyReusedError

METADATA_SECONDS = 60.0
"""How long an environment's metadata is remembered."""
OPTIONAL = ("num_branch", "num_path", "num_subtasks", "subtask_threshold", "path_threshold")
"""Parameters that some methods do not use, and then refuse."""


class EpisodeCreator:
    """Creates episodes."""

    def __init__(
        self,
        store: EpisodeStore,
        environments: dict[str, HttpEnvironment],
        roles: HttpRoles,
        settings: OrchestratorSettings,
        admission: Admission,
    ) -> None:
        self._store = store
        self._environments = environments
        self._roles = roles
        self._admission = admission
        self._cards = Cards(settings.cards)
        self._metadata: dict[str, tuple[float, Metadata]] = {}

    @property
    def names(self) -> list[str]:
        """The environments that are configured."""
        return sorted(self._environments)

    async def create(self, request: EpisodeCreate, key: str | None, tenant: str = LOCAL) -> tuple[str, bool]:
        """Create an episode and return its id and whether it is new.

        Args:
            request: The episode's policy and task.
            key: The client's idempotency key; each tenant has its own.
            tenant: Whose episode it is.

        Raises:
            ProblemError: A field is not acceptable, the idempotency key was used for another
                request, or a limit is reached.
            OutageError: The environment or the actor is not there.
        """
        given = digest("create", request)
        try:
            known = await self._store.find_key(key, given, tenant) if key else None
        except KeyReusedError:
            raise _key_reused() from None
        if known is not None:
            return known, False
        await self._admission.check_tokens(tenant)
        environment = self.environment(request.environment)
        method = _method(request)
        metadata = await self.metadata(request.environment)
        instruction = await self._instruction(request, environment, metadata)
        if not 0 < len(instruction) <= MAX_TEXT:
            raise ProblemError.field(
                "body.task_id",
                f"the task's instruction has {len(instruction)} characters; 1 to {MAX_TEXT} do",
            )
        served, adapter = await self._pinned(request)
        card = await self._cards.find(adapter)
        record = Record(
            request=request.model_copy(update={"adapter": adapter}),
            instruction=instruction,
            brief=_brief(metadata),
            max_steps=min(request.max_steps or metadata.max_steps, MAX_TURNS),
            needs_submit=metadata.terminal_action is TerminalAction.REQUIRED,
            version=method.version,
            margin=card.margins.get(request.environment) if card else None,
            planned=request.environment in card.planned if card and card.groups else None,
            done_means_success=metadata.done_means is DoneMeans.SUCCESS,
            model=served.base,
            profile=served.profile,
            adapter=adapter,
            tenant=tenant,
            trace=current_traceparent(),
        )
        try:
            return await self._store.create(record, key, given)
        except KeyReusedError:
            raise _key_reused() from None
        except FullError:
            raise self._admission.refuse_full(tenant) from None
        except CrowdedError:
            raise await self._admission.refuse_crowded(tenant) from None

    def environment(self, name: str) -> HttpEnvironment:
        """An environment by name; 422 with the names that there are."""
        known = self._environments.get(name)
        if known is None:
            allowed = sorted(self._environments)
            raise ProblemError.field(
                "body.environment", f"{name!r} is not one of {', '.join(allowed)}", allowed
            )
        return known

    async def metadata(self, name: str) -> Metadata:
        """Return an environment's metadata, at most a minute old."""
        asked_at, metadata = self._metadata.get(name, (0.0, None))
        if metadata is None or time.monotonic() - asked_at > METADATA_SECONDS:
            metadata = await self.environment(name).metadata()
            self._metadata[name] = (time.monotonic(), metadata)
        return metadata

    async def _instruction(
        self, request: EpisodeCreate, environment: HttpEnvironment, metadata: Metadata
    ) -> str:
        if request.task is not None:
            if not metadata.takes_tasks:
                raise ProblemError.field(
                    "body.task", f"{request.environment} takes no tasks of a client's own; give task_id"
                )
            return request.task.instruction
        name = request.task_id or ""
        outside = any(part in (".", "..") for part in name.split("/"))
        task = None if outside else await environment.task(name)
        if task is None:
            raise ProblemError.field(
                "body.task_id",
                f"{request.environment} has no task {request.task_id!r}; "
                f"GET /v1/environments/{request.environment}/tasks lists them",
            )
        return task.instruction

    async def _pinned(self, request: EpisodeCreate) -> tuple[Adapters, str | None]:
        """What is served, and the adapter that this episode will use to its end."""
        served = await self._roles.adapters()
        lasting = [adapter for adapter in served.adapters if not adapter.draining]
        if request.adapter is None:
            return served, next((adapter.name for adapter in lasting if adapter.merged), None)
        names = [adapter.name for adapter in lasting]
        if request.adapter not in names:
            raise ProblemError(
                Kind.ADAPTER_NOT_SERVED,
                f"body.adapter: {request.adapter!r} is not served; served are: {', '.join(names) or 'none'}",
                errors=[FieldError(field="body.adapter", message="is not served")],
                allowed=names,
            )
        return served, request.adapter


def _key_reused() -> ProblemError:
    return ProblemError(
        Kind.UNPROCESSABLE, "This Idempotency-Key was used for another request; take a new one."
    )


def _brief(metadata: Metadata) -> Brief:
    try:
        return Brief(
            name=metadata.name,
            description=metadata.description,
            actions=metadata.actions,
            terminal_action=metadata.terminal_example,
        )
    except ValidationError as error:
        first = error.errors()[0]
        detail = f"{metadata.name}: its metadata cannot be used: {first['loc'][0]}: {first['msg']}"
        raise ProblemError(Kind.UPSTREAM, detail) from error


def _method(request: EpisodeCreate) -> Method:
    method = METHODS.get(request.method)
    if method is None:
        allowed = sorted(METHODS)
        raise ProblemError.field(
            "body.method", f"{request.method!r} is not one of {', '.join(allowed)}", allowed
        )
    given = [name for name in OPTIONAL if name in request.model_fields_set and name not in method.uses]
    unused = [name for name in given if name not in ("num_branch", "num_path") or getattr(request, name) != 1]
    if unused:
        fields = [
            FieldError(field=f"body.{name}", message=f"{method.name} does not use it") for name in unused
        ]
        raise ProblemError(
            Kind.UNPROCESSABLE,
            f"{method.name} does not use {', '.join(unused)}; leave it out.",
            errors=fields,
        )
    if request.feedback not in method.feedback:
        allowed = sorted(method.feedback)
        raise ProblemError.field(
            "body.feedback", f"{method.name} makes use of {', '.join(allowed)} only", allowed
        )
    try:
        method.params.model_validate(request.params)
    except ValidationError as error:
        fields = [
            FieldError(field=".".join(["body.params", *map(str, item["loc"])]), message=str(item["msg"]))
            for item in error.errors()
        ]
        allowed = sorted(method.params.model_fields)
        detail = "; ".join(f"{item.field}: {item.message}" for item in fields)
        raise ProblemError(Kind.UNPROCESSABLE, detail, errors=fields, allowed=allowed) from error
    return method
