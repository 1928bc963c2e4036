"""The filter that replays in the real environment: the same actions give the same observations and reward."""

import re

from espalier.client import AsyncSessions
from services.contracts.session import SessionCreate
from training.construct.record import Record

NAME = "replay"
ABOUT = "the environment answers the same again"
REWARD_SLACK = 1e-6
IMAGINED = "imagined"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_VARYING = re.compile(
    rf"\b{_MONTH} +\d{{1,2}}(?: +\d\d:\d\d(?::\d\d)?| +\d{{4}})?\b"
    r"|\b\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
    r"|\b\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\b"
    r"|\b1[5-9]\d{8}(?:\.\d+)?\b"
    r"|(?<=pid )\d+|(?<=PID )\d+|(?<=pid=)\d+|(?<=/proc/)\d+"
)
_PROCESSES = re.compile(r"^.*\bPID\b", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def normalised(observation: str, *, shell: bool = False) -> str:
    """An observation without what may differ between two runs: blanks, times, process ids.

    Args:
        observation: The text.
        shell: It is of a shell: the order of lines does not count either, nor any number where processes
            are listed.
    """
    text = _VARYING.sub("#", observation)
    if shell and _PROCESSES.search(text):
        text = _NUMBER.sub("#", text)
    lines = [" ".join(line.split()) for line in text.split("\n") if line.strip()]
    return "\n".join(sorted(lines) if shell else lines)


def applies(record: Record) -> bool:
    """Whether there is a real environment that can answer again."""
    return record.kind == "trajectory" and record.provenance.source != IMAGINED


async def replay(record: Record, sessions: AsyncSessions) -> str | None:
    """Take a record's actions again; why it is rejected, or None.

    Raises:
        EspalierError: The environment refused, or is away.
    """
    shell = record.environment == "os_interaction"
    context = record.context
    state = await sessions.create(SessionCreate(task_id=record.task_id, seed=record.provenance.seed))
    try:
        # Role play may have put the task in other words.
        first = state.observation.replace(state.instruction, context.task)
        if normalised(first, shell=shell) != normalised(context.observation, shell=shell):
            return "the task begins otherwise"
        for number, turn in enumerate(context.turns, 1):
            if state.done:
                return f"the task ends after {number - 1} of {len(context.turns)} actions"
            state = await sessions.step(state.session_id, turn.action)
            if normalised(state.observation, shell=shell) != normalised(turn.observation, shell=shell):
                return f"action {number} shows something else: {state.observation[:120]!r}"
    finally:
        await sessions.close_session(state.session_id)
    if abs(state.reward - record.reward) > REWARD_SLACK or state.done != record.done:
        recorded = f"recorded were {record.reward:g}, {record.done}"
        return f"ends with reward {state.reward:g}, done {state.done}; {recorded}"
    return None
