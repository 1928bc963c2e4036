"""From a script's answers to what an engine would have sampled: tokens, logprobs, where it stopped."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.scripted import tokenizer, wire
from services.scripted.call import Answer, ChatCall

UNLIKELY = 1e-4
"""The share of the probability left over that one unnamed token has."""


@dataclass(frozen=True)
class Sampled:
    """One of the n answers, in tokens."""

    tokens: list[int]
    logprobs: list[float]
    text: str
    finish: str
    stop: str | None


def cut(call: ChatCall, index: int, answer: Answer, limit: int) -> Sampled:
    """The answer as far as stop strings and `max_tokens` let it go."""
    text, stop = answer.text, None
    ends = [(text.find(mark), mark) for mark in call.stop if mark and mark in text]
    if ends:
        end, stop = min(ends)
        text = text[:end]
    tokens = tokenizer.encode(text)
    finish = "stop"
    if len(tokens) > limit:
        tokens, finish, stop = tokens[:limit], "length", None
        text = tokenizer.decode(tokens)
    source = call.random("logprob", index, text)
    logprobs = [math.log(0.5 + 0.49 * source.random()) for _ in tokens]
    odds = odds_of(answer)
    if tokens:
        logprobs[0] = math.log(odds.get(tokens[0], unlikely(odds)))
    return Sampled(tokens, logprobs, text, finish, stop)


def odds_of(answer: Answer) -> dict[int, float]:
    """Probabilities of the first token, by id."""
    if answer.first:
        return {tokenizer.encode(text)[0]: share for text, share in answer.first.items()}
    tokens = tokenizer.encode(answer.text)
    return {tokens[0]: 0.9} if tokens else {}


def unlikely(odds: Mapping[int, float]) -> float:
    """The probability of one token that the odds do not name."""
    return max(1 - sum(odds.values()), 1e-3) * UNLIKELY


def wire_choice(index: int, choice: Sampled, request: wire.ChatRequest, answer: Answer) -> wire.Choice:
    """A choice as it goes over the wire, with the logprobs that the request wants."""
    logprobs = None
    if request.logprobs:
        content = [
            _content(choice, place, request, odds_of(answer) if place == 0 else {choice.tokens[place]: 0.9})
            for place in range(len(choice.tokens))
        ]
        logprobs = wire.Logprobs(content=content)
    return wire.Choice(
        index=index,
        message=wire.ChoiceMessage(content=choice.text),
        logprobs=logprobs,
        finish_reason="length" if choice.finish == "length" else "stop",
        stop_reason=choice.stop,
    )


def _content(
    choice: Sampled, place: int, request: wire.ChatRequest, odds: Mapping[int, float]
) -> wire.ContentLogprob:
    """One token's entry. As in vLLM, the sampled token is first among the top ones."""
    sampled = choice.tokens[place]
    if request.logprob_token_ids:
        others = [token for token in request.logprob_token_ids if token != sampled]
    else:
        others = sorted((token for token in odds if token != sampled), key=lambda token: -odds[token])
        others = others[: max((request.top_logprobs or 0) - 1, 0)]
    entry = _logprob(sampled, choice.logprobs[place])
    shown = [entry] if request.logprob_token_ids or request.top_logprobs else []
    shown += [_logprob(token, math.log(odds.get(token, unlikely(odds)))) for token in others]
    return wire.ContentLogprob(
        token=entry.token, logprob=entry.logprob, bytes=entry.bytes, top_logprobs=shown
    )


def _logprob(token: int, logprob: float) -> wire.TokenLogprob:
    raw = tokenizer.token_bytes(token)
    return wire.TokenLogprob(token=raw.decode(errors="replace"), logprob=logprob, bytes=list(raw))
