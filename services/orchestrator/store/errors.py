"""Why the store refuses a write or a read."""


class FencedError(Exception):
    """Another worker has taken the branch over."""


class AheadError(FencedError):
    """The writer is ahead of the log, whose tail Redis has lost: the branch is taken again from the log."""


class OverError(Exception):
    """The episode has ended: completed, failed or cancelled."""


class LimitError(Exception):
    """The episode's log is full."""


class FullError(Exception):
    """Too many episodes are live."""


class CrowdedError(Exception):
    """The tenant has as many live episodes as it may have."""


class KeyReusedError(Exception):
    """The idempotency key came with another request."""


class UnreadableError(Exception):
    """A record in Redis cannot be read, as where a newer release wrote it."""


class BranchesError(Exception):
    """The episode has as many branches as it may have."""


class SettingsError(Exception):
    """A setting does not fit what Redis holds."""
