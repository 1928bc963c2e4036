"""`espalier improve`: the actor plays, an expert corrects, an adapter learns, and unseen tasks decide.

A round is a chain of commands: `construct corrected`, `construct filter`, `train`, `adapters push`, `eval`.
Each goes on where it was, and so does the chain: what was done is in `improve.json`. It ends after so many
rounds, or after a round that gained nothing on the unseen tasks. The best adapter is served in the end.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, Field

from espalier.errors import describe_errors, report
from espalier.stack.adapters import adapter_folder
from espalier.stack.push import swaps
from espalier.stack.settings import StackSettings

Command = Sequence[str]
"""A command's arguments behind `espalier`."""
Runner = Callable[[Command], None]
"""Runs a command to its end; raises `ImproveError` where it fails."""
STATE = "improve.json"


class ImproveError(RuntimeError):
    """Raised when a command of a round fails; the message has the command and what to do."""


class Score(BaseModel):
    """What an adapter earns on the unseen tasks."""

    adapter: str
    """Its folder, or the name of a shipped one."""
    success_rate: float
    mean_reward: float
    n: int


class History(BaseModel):
    """`improve.json`: the adapter before the first round, then each round's."""

    plan: dict[str, object]
    """What the rounds are made with; a folder of another plan is refused."""
    scores: list[Score] = Field(default_factory=list[Score])

    @property
    def best(self) -> Score:
        """The adapter that earns most; of equal ones the earliest."""
        return max(self.scores, key=lambda score: score.mean_reward)


class Plan(BaseModel):
    """What is to be improved, and how."""

    env: str
    split: str
    """The tasks that are played and learned."""
    unseen: str
    """The tasks that decide; they are never learned."""
    rounds: int
    limit: int
    """Tasks that are played a round."""
    eval_limit: int
    tokens: int
    """Tokens that a round learns from."""
    data: list[Path]
    """Records that are mixed in, so that what was learned before stays."""
    general: list[Path]
    share: float
    """λ."""
    learning_rate: float
    corrections: int
    temperature: float
    seed: int
    adapter: str
    """The adapter to go on from: a folder, or the name of a shipped one."""
    options: list[str] = Field(default_factory=list[str])
    """Further options of `espalier train`."""


def improve(plan: Plan, out: Path, run: Runner, actor: str, progress: Callable[[str], None]) -> History:
    """Play, correct, learn and measure, round by round; what was done before is not done again.

    Args:
        plan: What is improved.
        out: The folder of records, adapters, results and `improve.json`.
        run: Runs a command.
        actor: The address of the actor that plays.
        progress: Called with what came of each round.

    Raises:
        ImproveError: A command fails, or the folder holds another plan.
    """
    if plan.split == plan.unseen:
        raise ImproveError(f"{plan.split} cannot be learned and decide: name another --unseen")
    history = _read_history(plan, out)
    if not history.scores:
        run(["adapters", "push", plan.adapter])
        history.scores.append(_measure(plan, out, 0, plan.adapter, run))
        _write_history(history, out)
        progress(f"before: {_describe(history.scores[0])}")
    while len(history.scores) <= plan.rounds and _gained(history):
        number = len(history.scores)
        # What is served may be another one by now: the stack was started again, or somebody pushed.
        run(["adapters", "push", history.scores[-1].adapter])
        adapter = _make_round(plan, out, number, history.scores[-1].adapter, actor, run)
        run(["adapters", "push", adapter])
        history.scores.append(_measure(plan, out, number, adapter, run))
        _write_history(history, out)
        progress(f"round {number}: {_describe(history.scores[-1])}")
    run(["adapters", "push", history.best.adapter])
    progress(f"best: {history.best.adapter}")
    return history


def _gained(history: History) -> bool:
    """Whether the last round gained anything; true before the first."""
    return len(history.scores) == 1 or history.best is history.scores[-1]


def _make_round(plan: Plan, out: Path, number: int, before: str, actor: str, run: Runner) -> str:
    """Play, correct and learn; the new adapter's folder."""
    raw, good = out / f"round-{number}.jsonl", out / f"round-{number}.good.jsonl"
    run(
        [
            *("construct", "corrected", "--env", plan.env, "--split", plan.split, "--actor", actor),
            *("--limit", str(plan.limit), "--seed", str(plan.seed + number), "--out", str(raw)),
            *("--corrections", str(plan.corrections), "--temperature", str(plan.temperature)),
        ]
    )
    if not raw.is_file():
        raise ImproveError(
            f"no run of {plan.env}/{plan.split} was corrected: {raw}.rejected.jsonl has the reasons"
        )
    run(["construct", "filter", str(raw), "--out", str(good), "--no-replay"])
    folder = out / f"adapter-{number}"
    rounds = [out / f"round-{one}.good.jsonl" for one in range(1, number + 1)]
    start = adapter_folder(before)
    command = ["train", "--from", str(start), "--out", str(folder), "--tokens", str(plan.tokens)]
    for path in (*rounds, *plan.data):
        command += ["--data", str(path)]
    for path in plan.general:
        command += ["--general", str(path)]
    share = plan.share if plan.general else 1.0
    run([*command, "--lambda", str(share), "--learning-rate", str(plan.learning_rate), *plan.options])
    return str(folder)


def _measure(plan: Plan, out: Path, number: int, adapter: str, run: Runner) -> Score:
    place = out / f"eval-{number}"
    run(
        [
            *("eval", "--env", plan.env, "--split", plan.unseen, "--method", "react"),
            *("--limit", str(plan.eval_limit), "--out", str(place)),
        ]
    )
    found = json.loads((place / "summary.json").read_text())
    if found["success_rate"] is None:
        raise ImproveError(f"no episode of {plan.env}/{plan.unseen} has a result; see {place}")
    return Score(
        adapter=adapter, success_rate=found["success_rate"], mean_reward=found["mean_reward"], n=found["n"]
    )


def _describe(score: Score) -> str:
    return (
        f"{100 * score.success_rate:.1f}% of {score.n}, mean reward {100 * score.mean_reward:.1f} "
        f"({score.adapter})"
    )


def _read_history(plan: Plan, out: Path) -> History:
    """Return what was done of this plan; more rounds of the same plan may be added."""
    made = plan.model_dump(mode="json", exclude={"rounds"})
    path = out / STATE
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        return History(plan=made)
    try:
        history = History.model_validate_json(path.read_text())
    except ValueError as error:
        raise ImproveError(f"{path} cannot be read: remove it, or take another folder") from error
    if history.plan != made:
        raise ImproveError(f"{out} holds rounds of another plan: take another folder, or remove it")
    return history


def _write_history(history: History, out: Path) -> None:
    path = out / STATE
    fresh = path.with_suffix(".tmp")
    fresh.write_text(history.model_dump_json(indent=1) + "\n")
    fresh.replace(path)


def run_command(command: Command) -> None:
    """Run `espalier` with arguments in a process of its own, with this terminal.

    Raises:
        ImproveError: It fails.
    """
    done = subprocess.run([sys.executable, "-m", "espalier", *command], check=False)
    if done.returncode:
        raise ImproveError(
            f"`espalier {' '.join(command)}` ended with {done.returncode}; the same command goes on later"
        )


def improve_command(
    env: Annotated[str, typer.Option("--env", help="The environment.")],
    split: Annotated[str, typer.Option(help="The tasks that are played and learned.")],
    unseen: Annotated[str, typer.Option(help="The tasks that decide whether a round helped.")],
    out: Annotated[Path, typer.Option(help="The folder of records, adapters and results.")],
    rounds: Annotated[int, typer.Option(min=1, max=50, help="The most rounds.")] = 2,
    limit: Annotated[int, typer.Option(min=1, help="Tasks played a round.")] = 200,
    eval_limit: Annotated[int, typer.Option(min=1, help="Unseen tasks played after a round.")] = 100,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens learned a round.")] = 300_000,
    data: Annotated[list[Path] | None, typer.Option(help="Records that are mixed in.")] = None,
    general: Annotated[list[Path] | None, typer.Option(help="General instruction data.")] = None,
    share: Annotated[float, typer.Option("--lambda", min=0, max=1, help="λ.")] = 0.9,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-4,
    corrections: Annotated[int, typer.Option(min=1, max=50, help="How often the expert takes over.")] = 3,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="The actor's.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=2**30, help="Which tasks.")] = 0,
    adapter: Annotated[
        str, typer.Option("--from", help="The adapter to go on from: a folder, or a shipped one's name.")
    ] = "agent",
    train_option: Annotated[
        list[str] | None,
        typer.Option(help="A further option of `espalier train`, such as --train-option=--compile."),
    ] = None,
) -> None:
    """Let the served actor play, an expert correct it and the adapter learn, while unseen tasks gain."""
    plan = Plan(
        env=env,
        split=split,
        unseen=unseen,
        rounds=rounds,
        limit=limit,
        eval_limit=eval_limit,
        tokens=tokens,
        data=data or [],
        general=general or [],
        share=share,
        learning_rate=learning_rate,
        corrections=corrections,
        temperature=temperature,
        seed=seed,
        adapter=adapter,
        options=train_option or [],
    )
    settings = StackSettings()
    with describe_errors():
        if not swaps(settings):
            raise ImproveError(
                "rounds play the adapter that is merged into this machine's engine: "
                "run `espalier up --detach` first, without ESPALIER_MODEL_URL"
            )
        improve(plan, out, run_command, settings.url("actor"), report)
