"""A training run that takes seconds: a model of a few thousand weights, and data to learn from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.contracts.card import Card
from tests.training.support import record, turn
from training.construct.record import Record

if TYPE_CHECKING:
    from training.sft.train import Plan

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def trajectory(number: int = 0, **changes: Any) -> Record:
    turns = [turn("go to desk 1", f"You see a pen {number}."), turn("take pen", "You have it.")]
    return record(*turns, task_id=f"generated_train/{number}", reward=1.0, **changes)


def plan(base: Path, data: Path, alpaca: Path, out: Path, **changes: Any) -> "Plan":
    from training.sft.lora import Hyper
    from training.sft.train import Plan

    hyper = Hyper(rank=4, alpha=8, batch=600, accumulate=1, save_steps=2, learning_rate=2e-2)
    made = Plan(
        base=base, data=[data], general=[alpaca], out=out, share=0.5, tokens=4000, hold_out=1, hyper=hyper
    )
    return replace(made, **changes)


def train(plan: "Plan", report: Callable[[str], None]) -> Card:
    """Torch is loaded where it is needed, not when tests are collected."""
    from training.sft.train import train as learn

    return learn(plan, report)
