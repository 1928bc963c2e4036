"""How adapters of several mixes predict what was held out: `python -m evaluation.mixes ADAPTER ...`.

The loss a token on agent records and on general instructions that none of them learned, for the base and for
each adapter: small runs of training differ in it long before any of them solves a task. Needs
`make setup-train`. Writes `mixes.json`, and `mixes.md` as a table.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from espalier.adapter_folder import read_card
from evaluation.general import held_out, loss
from evaluation.intervals import bootstrap
from services.contracts.card import Card
from services.prompting import Renderer, load_profile
from training.construct.record import read_records
from training.sft.examples import Example, Tokens, spoken

GENERAL = "general"
LONGEST = 4096
"""Longer records are left out, tokens."""


class Loss(BaseModel):
    """The mean over sequences of each one's loss a token, nats."""

    n: int
    mean: float
    ci95: tuple[float, float]
    """By bootstrap over sequences."""


class Mix(BaseModel):
    """What one model was found to lose."""

    adapter: str
    """Empty: the base."""
    share: float | None = None
    """Its λ."""
    tokens: int = 0
    """That it learned from."""
    losses: dict[str, Loss]
    """By environment, and of `general`."""


def agent(paths: Iterable[Path], profile: str, tokenizer: Any) -> list[Example]:
    """Return records as sequences, in the prompts of an adapter's profile."""
    renderer = Renderer(load_profile(profile))
    tokens = Tokens(tokenizer, LONGEST)
    made = (tokens.example(spoken(record, renderer)) for path in paths for record in read_records(path))
    return [example for example in made if example is not None]


def measure(model: Any, examples: Sequence[Example], card: Card | None) -> Mix:
    """The losses of a model on sequences, by the environment that they are of."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for example in examples:
        groups[example.group.partition("/")[0]].append(loss(model, example))
    losses: dict[str, Loss] = {}
    for name, found in groups.items():
        interval = bootstrap(found)
        if interval is not None:
            losses[name] = Loss(n=len(found), mean=sum(found) / len(found), ci95=interval)
    if card is None:
        return Mix(adapter="", losses=losses)
    return Mix(adapter=card.name, share=card.share, tokens=card.tokens, losses=losses)


def table(mixes: Sequence[Mix]) -> str:
    """The mixes as a Markdown table, a row each."""
    names = list(mixes[0].losses)
    counts = [f"{name}, {mixes[0].losses[name].n}" for name in names]
    rows = [f"| λ | tokens | {' | '.join(counts)} |", "|" + " --- |" * (2 + len(names))]
    for mix in mixes:
        share = "base" if mix.share is None else f"{mix.share:g}"
        cells = [f"{one.mean:.3f} [{one.ci95[0]:.3f}, {one.ci95[1]:.3f}]" for one in mix.losses.values()]
        rows.append(f"| {share} | {mix.tokens:,} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Measure the adapters that the command line names, and their base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapters", type=Path, nargs="+")
    parser.add_argument("--base", type=Path, required=True, help="the base model's folder")
    parser.add_argument("--records", type=Path, action="append", required=True, help="held-out agent records")
    parser.add_argument("--held-out", type=Path, required=True, help="general instruction data")
    parser.add_argument("--last", type=int, default=99, help="so many of its last records; 0: all")
    parser.add_argument("--profile", default="compact", help="the adapters' prompt profile")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(options.base))
    examples = agent(options.records, options.profile, tokenizer)
    examples += held_out(options.held_out, options.last, tokenizer)
    plain: Any = AutoModelForCausalLM.from_pretrained(str(options.base), dtype=torch.float32)
    cards = [read_card(folder) for folder in options.adapters]
    model: Any = PeftModel.from_pretrained(plain, str(options.adapters[0]), adapter_name=cards[0].name).eval()
    with model.disable_adapter():
        mixes = [measure(model, examples, None)]
    for folder, card in zip(options.adapters, cards, strict=True):
        if card is not cards[0]:
            model.load_adapter(str(folder), adapter_name=card.name)
        model.set_adapter(card.name)
        mixes.append(measure(model, examples, card))
        print(table(mixes[-1:]).rstrip("\n").split("\n")[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    dumped = ",\n".join(mix.model_dump_json() for mix in mixes)
    (options.out / "mixes.json").write_text(f"[{dumped}]\n")
    (options.out / "mixes.md").write_text(table(mixes) + "\n")
    print(table(mixes))


if __name__ == "__main__":
    main()
