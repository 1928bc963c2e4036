"""Token sequences to learn from, with loss on the assistant's messages and nothing else.

Records are rendered by the renderer that serves, in the model's own chat template.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.contracts.action import ActionRequest, Form
from services.contracts.plan import PlanRequest
from services.contracts.verdict import SelectionQuestion, SubtaskQuestion
from services.prompting import Renderer
from services.prompting.renderer import Chat
from training.construct.record import ROLES, Record

IGNORED = -100
"""The label of a token without loss (torch's cross entropy)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence."""

    input_ids: list[int]
    labels: list[int]
    """The same ids where there is loss, else `IGNORED`."""
    group: str
    """What it is of: an environment and kind, or `general`."""

    @property
    def verdict(self) -> bool:
        """Whether what is learned is a judge's answer, one token and the end mark."""
        return ROLES.get(self.group.rpartition("/")[2]) == "judge"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A chat, and which of its messages are learned."""

    messages: Chat
    learned: list[int]
    group: str


class ChatTemplateError(ValueError):
    """Raised when a chat template rewrites earlier turns."""


class Tokens:
    """Turns chats into sequences.

    Args:
        tokenizer: A Hugging Face tokenizer with a chat template and offsets.
        longest: Longer sequences are left out, tokens.
    """

    def __init__(self, tokenizer: Any, longest: int) -> None:
        self._tokenizer = tokenizer
        self.longest = longest

    def example(self, spoken: Spoken) -> Example | None:
        """One chat as a sequence; None where it is too long or nothing in it is learned.

        Raises:
            ChatTemplateError: The chat template renders a chat in another way than its beginnings.
        """
        text = self._text(spoken.messages)
        spans = [self._span(spoken.messages, index, text) for index in spoken.learned]
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids: list[int] = encoded["input_ids"]
        if len(ids) > self.longest or not spans:
            return None
        labels = [
            token if any(start <= begin and end <= stop for start, stop in spans) else IGNORED
            for token, (begin, end) in zip(ids, encoded["offset_mapping"], strict=True)
        ]
        return Example(ids, labels, spoken.group)

    def _span(self, messages: Chat, index: int, text: str) -> tuple[int, int]:
        """The place of a message's words and its end mark in the text of the whole chat.

        Raises:
            ChatTemplateError: The text up to there is not how the whole begins: the place would be wrong.
        """
        before = self._text(messages[:index], prompt=True)
        upto = self._text(messages[: index + 1]).rstrip("\n")
        if not (upto.startswith(before) and text.startswith(upto)):
            raise ChatTemplateError(
                "the model's chat template rewrites earlier turns, such as a think block in the last one: "
                "what is learned cannot be marked; set a template that renders each turn the same"
            )
        return len(before), len(upto)

    def _text(self, messages: Chat, *, prompt: bool = False) -> str:
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)


def spoken(record: Record, renderer: Renderer) -> Spoken:
    """A record as a chat.

    A trajectory's every action that is valid and taught is learned; of the other kinds the answer alone.
    """
    context = record.context
    group = f"{record.environment}/{record.kind}"
    if record.kind == "trajectory":
        messages = renderer.messages(context, renderer.actor(ActionRequest(context=context, form=Form.REACT)))
        spoken = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
        every = [True] * len(spoken)
        good = zip(spoken, record.valid or every, record.taught or every, strict=True)
        learned = [index for index, valid, taught in good if valid and taught]
        return Spoken(messages[: spoken[-1] + 1], learned, group)
    if record.kind == "step":
        context = record.context.model_copy(update={"turns": record.context.turns[:-1]})
        request = ActionRequest(context=context, form=Form.REACT, subtask=record.question.get("subtask", ""))
        messages = renderer.messages(context, renderer.actor(request))
        answer = renderer.turn(record.context.turns[-1])
    else:
        messages = renderer.messages(context, _question(record, renderer))
        answer = record.answer
    messages.append({"role": "assistant", "content": answer})
    return Spoken(messages, [len(messages) - 1], group)


def _question(record: Record, renderer: Renderer) -> str:
    question = {"context": record.context, **record.question}
    if record.kind == "plan":
        return renderer.planner(PlanRequest.model_validate(question))
    if record.kind == "subtask":
        return renderer.subtask(SubtaskQuestion.model_validate(question))
    if record.kind == "selection":
        return renderer.selection(SelectionQuestion.model_validate(question))
    return renderer.value(record.context) if record.kind == "value" else renderer.path(record.context)


class GeneralDataError(ValueError):
    """Raised when a file is not general instruction data; the message has the file and the reason."""


def general(paths: Sequence[Path], hold_out: int) -> Iterator[Spoken]:
    """General instructions as chats.

    Args:
        paths: JSON or JSON lines: Alpaca's `{instruction, input, output}`, or self-instruct's
            `{instruction, instances: [{input, output}]}`.
        hold_out: So many of the last records of each file are left out: they are for evaluation.

    Raises:
        GeneralDataError: A file holds something else.
    """
    for path in paths:
        for item in _items(path)[: -hold_out or None]:
            try:
                shown = item["instances"][0] if "instances" in item else item
                question = "\n\n".join(part for part in (item["instruction"], shown.get("input", "")) if part)
                messages = [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": shown["output"]},
                ]
            except (KeyError, IndexError, TypeError) as error:
                raise GeneralDataError(f"{path}: a record lacks {error}") from error
            if shown["output"].strip():
                yield Spoken(messages, [1], "general")


def _items(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text)
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (OSError, ValueError) as error:
        raise GeneralDataError(f"{path}: {error}") from error
