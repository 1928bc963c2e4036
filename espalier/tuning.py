"""`espalier train`, `espalier adapters`: adapters are learned, listed, merged into what is served."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from espalier.stack.adapters import SHIPPED, find_adapter, prepare_served, shipped
from espalier.stack.embedded import prepare_model
from espalier.stack.settings import StackSettings
from espalier.telling import told

adapters = typer.Typer(help="Adapters: what is shipped, what is served.", no_args_is_help=True)


def train(
    data: Annotated[list[Path], typer.Option(help="Agent records; may be given again.")],
    out: Annotated[Path, typer.Option(help="The adapter's folder; holds the checkpoints too.")],
    general: Annotated[
        list[Path] | None, typer.Option(help="General instruction data; may be given again.")
    ] = None,
    share: Annotated[float, typer.Option("--lambda", help="λ: the probability of agent data.")] = 0.3,
    role: Annotated[
        list[str] | None, typer.Option(help="actor, judge, planner; by default all three.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to learn from, prompts included.")] = 1_000_000,
    base: Annotated[Path | None, typer.Option(help="The base model; by default the embedded one.")] = None,
    profile: Annotated[str, typer.Option(help="The prompt profile.")] = "compact",
    rank: Annotated[int, typer.Option(min=1, max=256)] = 16,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a forward pass.")] = 2,
    accumulate: Annotated[int, typer.Option(min=1, help="Forward passes to a step.")] = 4,
    longest: Annotated[int, typer.Option(min=16, help="Longer sequences are left out, tokens.")] = 2048,
    start: Annotated[
        Path | None, typer.Option("--from", help="An adapter to go on from; by default a new one is begun.")
    ] = None,
    qlora: Annotated[bool, typer.Option(help="The base in 4 bits; needs a GPU and bitsandbytes.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Learn an adapter; a run that was interrupted goes on where it was."""
    known = ("actor", "judge", "planner")
    roles = [name for name in known if name in role] if role else list(known)
    if set(role or ()) - set(known):
        raise typer.BadParameter(f"a role is one of {', '.join(known)}")
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    try:
        from training.sft.lora import Hyper
        from training.sft.train import Plan
        from training.sft.train import train as learn
    except ImportError as error:
        console.print(f"error: {error}: run `make setup-train`", style="red", markup=False)
        sys.exit(1)
    with told():
        model = base or prepare_model(StackSettings(), tell)
        hyper = Hyper(
            rank=rank,
            alpha=2 * rank,
            learning_rate=learning_rate,
            batch=batch,
            accumulate=accumulate,
            seed=seed,
            quantise=qlora,
        )
        card = learn(
            Plan(
                base=model,
                data=data,
                general=general or [],
                out=out,
                roles=roles,  # pyright: ignore[reportArgumentType]
                share=share,
                tokens=tokens,
                profile=profile,
                longest=longest,
                hyper=hyper,
                start=start,
            ),
            tell,
        )
    print(f"{out}: {card.name}, {card.tokens:,} tokens in {card.seconds / 60:.0f} min")


@adapters.command("list")
def list_adapters() -> None:
    """The adapters that come with the package."""
    table = Table("adapter", "name", "base", "profile", "λ", "tokens", box=None)
    for name in shipped():
        found = find_adapter(name)
        if found:
            card = found[1]
            table.add_row(name, card.name, card.base, card.profile, f"{card.share:g}", f"{card.tokens:,}")
    Console().print(table if table.row_count else f"none in {SHIPPED}")


@adapters.command()
def merge(
    adapter: Annotated[str, typer.Argument(help="A shipped adapter's name, or a folder.")],
) -> None:
    """Merge an adapter into a copy of the embedded model; the folder that an engine can serve."""
    settings = StackSettings().model_copy(update={"adapter": adapter})
    console = Console(stderr=True)
    with told():
        made = prepare_served(settings, lambda stage: console.print(f"  model  {stage}", markup=False))
    print(made.folder)


@adapters.command()
def measured(
    adapter: Annotated[str, typer.Argument(help="A shipped adapter's name, or a folder.")],
    runs: Annotated[list[Path], typer.Argument(help="Folders that `espalier eval` wrote.")],
) -> None:
    """Write what evaluations found into an adapter's card."""
    from training.sft.card import add_measured

    with told():
        found = find_adapter(adapter)
        if found is None:
            raise typer.BadParameter(f"{adapter} is no adapter")
        card = add_measured(found[0], [run / "summary.json" for run in runs])
    table = Table("environment", "split", "method", "n", "success", "reward", box=None)
    for one in card.measured:
        rates = (f"{one.success_rate:.3f}", f"{one.mean_reward:.3f}")
        table.add_row(one.environment, one.split, one.method, str(one.n), *rates)
    Console().print(table)
