"""Reads an engine's answer to a chat, whatever OpenAI-compatible server wrote it.

What can be mapped is mapped: content in parts, reasoning beside no content, tool calls, absent usage, absent
log-probabilities. An answer that holds no choice is the engine's error, answered as 502 with its own words.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

import orjson

from services.kit.problems import Kind, ProblemError

WHOLE = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn", "tool_calls", "function_call"})
"""How servers name an answer that ended by itself; with every other reason it may be cut."""
MISSING = -9999.0
"""What OpenAI's API writes for a log-probability that is too low to be reported."""


@dataclass(frozen=True)
class Sample:
    """One of the texts that a model call gave."""

    text: str
    logprob: float | None
    """Sum over its tokens; None where the engine reports none."""
    first: dict[str, float]
    """Log-probabilities of the first token's alternatives, by token text, as far as they are reported."""
    truncated: bool
    """Whether it ended at `max_tokens`."""


@dataclass(frozen=True)
class Tokens:
    """The token counts of an answer; zeros where the engine reports none."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reported: bool = False


@dataclass(frozen=True)
class Reply:
    """An engine's answer to one chat."""

    samples: list[Sample]
    tokens: Tokens


def read_reply(answer: Any) -> Reply:
    """Return the samples and token counts of a chat completion.

    Raises:
        ProblemError: `upstream`, for an answer without choices.
    """
    body = as_object(answer)
    choices = [as_object(choice) for choice in as_list(body.get("choices"))]
    if not choices:
        raise ProblemError(Kind.UPSTREAM, f"The engine answered without choices: {quote(answer)}")
    return Reply([_read_choice(choice) for choice in choices], _read_tokens(body.get("usage")))


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a JSON array, or an empty one for anything else."""
    return cast(list[Any], value) if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Return a text, or the texts of content in parts joined; empty for anything else."""
    if isinstance(value, str):
        return value
    parts = [part if isinstance(part, str) else as_object(part).get("text") for part in as_list(value)]
    return "".join(part for part in parts if isinstance(part, str))


def as_count(value: Any) -> int:
    """Return a count, or 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def quote(answer: Any, limit: int = 300) -> str:
    """Return an engine's answer in its own words, cut."""
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, default=str)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _read_choice(choice: dict[str, Any]) -> Sample:
    message = as_object(choice.get("message"))
    reason = choice.get("finish_reason")
    truncated = isinstance(reason, str) and reason.lower() not in WHOLE
    content = as_list(as_object(choice.get("logprobs")).get("content"))
    tokens = [as_object(token) for token in content]
    logprobs = [_read_logprob(token) for token in tokens]
    known = [logprob for logprob in logprobs if logprob is not None]
    return Sample(
        text=_read_text(message, truncated) or as_text(choice.get("text")),
        logprob=sum(known) if known and len(known) == len(logprobs) else None,
        first=_read_alternatives(tokens[0]) if tokens else {},
        truncated=truncated,
    )


def _read_text(message: dict[str, Any], truncated: bool) -> str:
    """The text of a message; reasoning that the server split off is put back as a `<think>` block."""
    content = as_text(message.get("content"))
    reasoning = as_text(message.get("reasoning_content")) or as_text(message.get("reasoning"))
    if not content.strip():
        content = _read_tool_call(message)
    if not reasoning.strip():
        return content
    if content.strip():
        return f"<think>\n{reasoning}\n</think>\n{content}"
    # A server whose reasoning parser found no end of the reasoning has put the whole answer there.
    return f"<think>\n{reasoning}" if truncated else reasoning


def _read_tool_call(message: dict[str, Any]) -> str:
    """The one tool call of a message, as JSON: its arguments where they hold an action, else the call."""
    calls = [as_object(as_object(call).get("function")) for call in as_list(message.get("tool_calls"))]
    if not calls:
        return ""
    given = calls[0].get("arguments")
    try:
        arguments = as_object(orjson.loads(given) if isinstance(given, str) else given)
    except orjson.JSONDecodeError:
        arguments = {}
    if len(calls) == 1 and isinstance(arguments.get("action"), str):
        return json.dumps(arguments, ensure_ascii=False)
    return json.dumps(calls, ensure_ascii=False)


def _read_logprob(token: dict[str, Any]) -> float | None:
    value = token.get("logprob")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _read_alternatives(first: dict[str, Any]) -> dict[str, float]:
    """Log-probabilities by token text; the likelier of two tokens that are the same text."""
    found: dict[str, float] = {}
    for token in [first, *map(as_object, as_list(first.get("top_logprobs")))]:
        text, logprob = token.get("token"), _read_logprob(token)
        if isinstance(text, str) and logprob is not None:
            found[text] = max(logprob, found.get(text, MISSING))
    return found


def _read_tokens(usage: Any) -> Tokens:
    given = as_object(usage)
    details = as_object(given.get("prompt_tokens_details"))
    return Tokens(
        prompt=as_count(given.get("prompt_tokens")),
        cached=as_count(details.get("cached_tokens")),
        completion=as_count(given.get("completion_tokens")),
        reported="prompt_tokens" in given,
    )
