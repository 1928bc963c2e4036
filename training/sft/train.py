"""Learns an adapter: reads records, mixes, trains, writes adapter, card and curve. Resumes where it was."""

import hashlib
import json
import math
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from espalier.adapter_folder import CONFIG, WEIGHTS, AdapterError, compute_digest, read_card, write_card
from services.contracts.card import Card
from services.prompting import Renderer, load_profile
from training.construct.record import Record, Role, read_records
from training.sft.examples import Example, Tokens, general, spoken
from training.sft.held_out import (
    Evaluation,
    Evaluator,
    HeldOut,
    draw_held_out,
    find_best,
    is_exhausted,
    list_evaluations,
    read_held_out,
)
from training.sft.lora import Hyper, SparseLossTrainer, batches, rows, trainer
from training.sft.mix import MixError, check_share, mix, taken

Report = Callable[[str], None]
STATE = "trainer_state.json"
"""The trainer's file in a checkpoint: steps, losses and evaluations so far."""


@dataclass(frozen=True)
class Plan:
    """What is to be trained."""

    base: Path
    """The base model's folder."""
    data: Sequence[Path]
    """Files of agent records."""
    general: Sequence[Path]
    """Files of general instruction data."""
    out: Path
    roles: Sequence[Role] = ("actor", "judge", "planner")
    share: float = 0.3
    """λ."""
    tokens: int = 1_000_000
    profile: str = "compact"
    longest: int = 4096
    """Longer sequences are left out, tokens."""
    hold_out: int = 99
    """So many of the last records of each general file are left out."""
    times: Mapping[str, float] = field(default_factory=dict[str, float])
    """How often a kind of agent record is taken, by environment and kind; by default once."""
    hyper: Hyper = field(default_factory=Hyper)
    start: Path | None = None
    """The folder of an adapter to go on from."""
    held_out: HeldOut = field(default_factory=HeldOut)
    """Records of tasks that are not learned, and when to stop by them."""


@dataclass(frozen=True)
class Pools:
    """What can be drawn from."""

    agent: Sequence[Example]
    general: Sequence[Example]
    splits: Sequence[str]
    """Where the agent data is of, `environment/split`."""
    profile: str
    """The prompt profile that it was rendered with, `name@digest`."""
    held_out: Sequence[Example] = ()
    """What is evaluated while learning; empty where nothing is."""


def train(plan: Plan, report: Report) -> Card:
    """Train, and write the adapter into `plan.out`.

    A run that was interrupted is taken up at its last checkpoint; one with other data or settings is refused.

    Raises:
        RecordError, GeneralDataError: A file cannot be read.
        MixError: λ is out of range, a kind of data is missing, or a held-out task is learned too.
        AdapterError: The adapter to start from is malformed, or of another base, rank or profile.
    """
    check_share(plan.share)
    _before(plan, load_profile(plan.profile).id)
    return learn(plan, read_pools(plan, report), report)


def read_pools(plan: Plan, report: Report) -> Pools:
    """The plan's data as sequences.

    Raises:
        RecordError, GeneralDataError: A file cannot be read.
        MixError: A held-out task is learned too, or no held-out record can be evaluated.
    """
    from transformers import AutoTokenizer

    held = read_held_out(plan.held_out.paths, plan.roles)
    tokens = Tokens(AutoTokenizer.from_pretrained(str(plan.base)), plan.longest)
    profile = load_profile(plan.profile)
    renderer = Renderer(profile)
    splits: set[str] = set()
    agent: list[Example | None] = []
    for path, record in ((file, record) for file in plan.data for record in read_records(file)):
        if record.role in plan.roles:
            held.check_apart(record, path)
            splits.add(f"{record.environment}/{record.provenance.split}")
            agent.append(_encode(tokens, renderer, record))
    other = [tokens.example(chat) for chat in general(plan.general, plan.hold_out)]
    kept, plain = ([example for example in made if example is not None] for made in (agent, other))
    dropped = len(agent) + len(other) - len(kept) - len(plain)
    report(
        f"{len(kept)} agent and {len(plain)} general sequences; {dropped} longer than {tokens.longest} tokens"
    )
    drawn: list[Example] = []
    if plan.held_out.paths:
        encode = partial(_encode, tokens, renderer)
        drawn = draw_held_out(held.records, encode, plan.held_out.most, plan.hyper.seed)
        report(f"{len(drawn)} held-out sequences of {len(held.records)} records")
    return Pools(kept, plain, sorted(splits), profile.id, drawn)


def _encode(tokens: Tokens, renderer: Renderer, record: Record) -> Example | None:
    return tokens.example(spoken(record, renderer))


def learn(plan: Plan, pools: Pools, report: Report) -> Card:
    """Mix, train and write, as `train`, from data that was read."""
    from transformers import AutoTokenizer

    began = time.monotonic()
    before = _before(plan, pools.profile)
    agent = taken(pools.agent, plan.times, plan.hyper.seed)
    examples = mix(agent, pools.general, plan.share, plan.tokens, plan.hyper.seed)
    fingerprint = _digest(examples)
    checkpoint = _claim(plan, fingerprint, pools.held_out)
    learner = trainer(
        plan.base,
        AutoTokenizer.from_pretrained(str(plan.base)),
        examples,
        plan.out / "checkpoints",
        plan.hyper,
        [_progress(report)],
        plan.start,
    )
    if pools.held_out:
        held_out = rows(batches(pools.held_out, plan.hyper.batch, plan.hyper.seed), verdict_weight=1.0)
        learner.add_callback(Evaluator(partial(learner.measure_loss, held_out), plan.held_out, report))
    best = _run(learner, plan, checkpoint, report)
    _save(learner.model, plan.out)
    card = Card(
        name=f"{'-'.join(plan.roles) if len(plan.roles) < 3 else 'agent'}@{compute_digest(plan.out)}",
        base=plan.base.name,
        profile=pools.profile,
        roles=list(plan.roles),
        rank=plan.hyper.rank,
        share=plan.share,
        tokens=sum(len(example.input_ids) for example in examples),
        seed=plan.hyper.seed,
        data=fingerprint,
        groups=dict(Counter(example.group for example in examples)),
        splits=sorted({*pools.splits, *(before.splits if before else ())}),
        start=before.name if before else "",
        hyper=asdict(plan.hyper),
        losses=[
            (int(entry["step"]), round(entry["loss"], 4))
            for entry in learner.state.log_history
            if "loss" in entry
        ],
        held_out=[
            (step, round(loss, 4))
            for step, loss in list_evaluations(learner.state.log_history)
            if math.isfinite(loss)
        ],
        best_step=best[0] if best else None,
        seconds=round(time.monotonic() - began, 1),
    )
    write_card(plan.out, card)
    plot(card, plan.out / "loss.png")
    return card


def _run(
    learner: SparseLossTrainer, plan: Plan, checkpoint: Path | None, report: Report
) -> Evaluation | None:
    """Learn from a checkpoint on, or anew; the evaluation whose weights the model has, None: the last step's.

    Raises:
        AdapterError: The best weights are gone.
    """
    from transformers.trainer_callback import TrainerState

    patience = plan.held_out.patience
    state = TrainerState.load_from_json(str(checkpoint / STATE)) if checkpoint else None
    if state is not None and is_exhausted(list_evaluations(state.log_history), patience):
        learner.state = state  # it stopped early, and only what is written after that may be missing
        _restore(learner.model, plan.out, state.global_step)
    else:
        learner.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    best = find_best(list_evaluations(learner.state.log_history)) if patience else None
    if best is None:
        return None
    _restore(learner.model, plan.out, best[0])
    report(f"the weights of step {best[0]} are kept, held-out loss {best[1]:.3f}")
    return best


def _restore(model: Any, out: Path, step: int) -> None:
    """Give the model the weights of a checkpoint."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    path = out / "checkpoints" / f"checkpoint-{step}" / WEIGHTS
    if not path.is_file():
        raise AdapterError(
            f"{path} is gone: remove {out} and train anew, or keep the last weights: --patience 0"
        )
    set_peft_model_state_dict(model, load_file(path))


def _before(plan: Plan, profile: str) -> Card | None:
    """The card of the adapter to go on from."""
    if plan.start is None:
        return None
    card = read_card(plan.start)
    mine = (plan.base.name, plan.hyper.rank, profile)
    if (card.base, card.rank, card.profile) != mine:
        raise AdapterError(
            f"{plan.start} is of {card.base}, rank {card.rank}, profile {card.profile}; "
            f"this run is of {', '.join(map(str, mine))}"
        )
    return card


def _digest(examples: Sequence[Example]) -> str:
    found = hashlib.sha256()
    for example in examples:
        found.update(array("i", [len(example.input_ids), *example.input_ids, *example.labels]).tobytes())
    return found.hexdigest()[:12]


def _claim(plan: Plan, fingerprint: str, held_out: Sequence[Example]) -> Path | None:
    """The last whole checkpoint of this very run in the folder, if there is one.

    Patience is no part of what makes a run this one: with more of it, a run that stopped early goes on.

    Raises:
        MixError: It holds another run's.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    run: dict[str, Any] = {"data": fingerprint, "base": plan.base.name, "hyper": asdict(plan.hyper)}
    if plan.start is not None:
        run["start"] = compute_digest(plan.start)
    if held_out:
        run["held_out"] = {"data": _digest(held_out), "every": plan.held_out.every}
    path = plan.out / "run.json"
    if path.is_file():
        if json.loads(path.read_text()) != run:
            raise MixError(f"{plan.out} holds another run; take another folder, or remove it")
        # the state is the last file of a checkpoint: one without it was cut off while it was written
        whole = (state.parent for state in (plan.out / "checkpoints").glob(f"checkpoint-*/{STATE}"))
        return max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
    path.write_text(json.dumps(run, indent=1) + "\n")
    return None


def _progress(report: Report) -> Any:
    from transformers.trainer_callback import TrainerCallback

    class Progress(TrainerCallback):
        """Reports step, loss and time left."""

        def __init__(self) -> None:
            self._began, self._from = 0.0, 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._began, self._from = time.monotonic(), state.global_step

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            done = state.global_step - self._from
            if not logs or "loss" not in logs or done < 1:
                return
            left = (time.monotonic() - self._began) / done * (state.max_steps - state.global_step)
            report(
                f"step {state.global_step} of {state.max_steps}, loss {logs['loss']:.3f}, "
                f"{left / 60:.0f} min left"
            )

    return Progress()


def _save(model: Any, out: Path) -> None:
    """The adapter in bf16: half the size, and what it is served in."""
    import torch
    from safetensors.torch import load_file, save_file

    model.save_pretrained(str(out))
    (out / "README.md").unlink(missing_ok=True)  # PEFT's, about a path of this machine
    weights = {
        name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(out / WEIGHTS).items()
    }
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((out / CONFIG).read_text())
    config["base_model_name_or_path"] = Path(config["base_model_name_or_path"] or "").name
    config["target_modules"] = sorted(config["target_modules"])
    (out / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def plot(card: Card, path: Path) -> None:
    """The loss by step, as a picture; that on held-out records is a second line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([step for step, _ in card.losses], [loss for _, loss in card.losses], label="learned")
    if card.held_out:
        steps, losses = zip(*card.held_out, strict=True)
        axes.plot(steps, losses, marker="o", label="held out")
        axes.legend()
    axes.set(xlabel="step", ylabel="loss", title=f"{card.name}, λ = {card.share}, {card.tokens:,} tokens")
    axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)
