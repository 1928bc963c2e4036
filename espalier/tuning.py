"""`espalier train`, `espalier adapters`: adapters are learned, listed, merged into what is served."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from espalier.errors import describe_errors, report, stop
from espalier.stack.adapters import SHIPPED, adapter_folder, find_adapter, prepare_served, shipped
from espalier.stack.embedded import prepare_model
from espalier.stack.settings import StackSettings
from services.roles.registry import ROLES

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
    batch: Annotated[int, typer.Option(min=1, help="Tokens in a forward pass, padding included.")] = 4096,
    accumulate: Annotated[int, typer.Option(min=1, help="Forward passes to a step.")] = 2,
    longest: Annotated[int, typer.Option(min=16, help="Longer sequences are left out, tokens.")] = 4096,
    start: Annotated[
        Path | None, typer.Option("--from", help="An adapter to go on from; by default a new one is begun.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option(help="Compute activations twice: much less memory, a third slower.")
    ] = False,
    qlora: Annotated[bool, typer.Option(help="The base in 4 bits; needs a GPU and bitsandbytes.")] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the layers first; for long runs on a GPU.")
    ] = False,
    times: Annotated[
        list[str] | None,
        typer.Option(help="How often a kind is taken, ENV/KIND=N (webshop/selection=2); may be given again."),
    ] = None,
    verdict_weight: Annotated[
        float, typer.Option(min=0, help="How much a token of a judge's answer counts.")
    ] = 1.0,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(help="Agent records of tasks that are not learned, to evaluate; may be given again."),
    ] = None,
    held_out_every: Annotated[
        int, typer.Option(min=1, help="Steps from one evaluation of them to the next.")
    ] = 25,
    held_out_most: Annotated[
        int, typer.Option(min=1, help="So many of them at most, drawn by the seed.")
    ] = 200,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop after so many evaluations in a row without a new best, and write the best weights. "
            "0: never stop early, and write the last weights.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Learn an adapter; a run that was interrupted goes on where it was."""
    known = sorted(ROLES)
    roles = [name for name in known if name in role] if role else list(known)
    if set(role or ()) - set(known):
        raise typer.BadParameter(f"a role is one of {', '.join(known)}")
    try:
        from training.sft.held_out import HeldOut
        from training.sft.lora import Hyper
        from training.sft.train import Plan
        from training.sft.train import train as learn
    except ImportError as error:
        stop(f"{error}: run `make setup-train`")
    with describe_errors():
        held = HeldOut(paths=held_out or [], every=held_out_every, most=held_out_most, patience=patience)
        model = base or prepare_model(StackSettings(), report)
        hyper = Hyper(
            rank=rank,
            alpha=2 * rank,
            learning_rate=learning_rate,
            batch=batch,
            accumulate=accumulate,
            seed=seed,
            recompute=recompute,
            quantise=qlora,
            compiled=compiled,
            verdict_weight=verdict_weight,
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
                times=_times(times or []),
                hyper=hyper,
                start=start,
                held_out=held,
            ),
            report,
        )
    print(f"{out}: {card.name}, {card.tokens:,} tokens in {card.seconds / 60:.0f} min")


def _times(given: list[str]) -> dict[str, float]:
    """How often kinds are taken, from what was typed."""
    made: dict[str, float] = {}
    for one in given:
        group, _, number = one.partition("=")
        try:
            made[group] = float(number)
        except ValueError:
            raise typer.BadParameter(f"--times {one}: give it as ENV/KIND=N, webshop/selection=2") from None
    return made


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
    with describe_errors():
        made = prepare_served(settings, lambda stage: console.print(f"  model  {stage}", markup=False))
    print(made.folder)


@adapters.command()
def shrink(
    adapter: Annotated[str, typer.Argument(help="A shipped adapter's name, or a folder.")],
    out: Annotated[Path, typer.Option(help="The new adapter's folder.")],
    by: Annotated[float, typer.Option(help="The factor, above 0 and at most 1.")] = 0.75,
) -> None:
    """Keep a part of what an adapter learned, and so more of the base's general ability."""
    from training.sft import shrink as shrinking

    with describe_errors():
        card = shrinking.shrink(adapter_folder(adapter), by, out)
    print(card.name)


@adapters.command()
def average(
    one: Annotated[str, typer.Argument(help="A shipped adapter's name, or a folder.")],
    other: Annotated[str, typer.Argument(help="One that went on from it.")],
    out: Annotated[Path, typer.Option(help="The new adapter's folder.")],
    share: Annotated[float, typer.Option(help="How much of the second one.")] = 0.5,
) -> None:
    """Take the average of an adapter and one that went on from it: a part of what each does well."""
    from training.sft import average as averaging

    with describe_errors():
        card = averaging.average(adapter_folder(one), adapter_folder(other), share, out)
    print(card.name)


@adapters.command()
def measured(
    adapter: Annotated[str, typer.Argument(help="A shipped adapter's name, or a folder.")],
    runs: Annotated[list[Path], typer.Argument(help="Folders that `espalier eval` wrote.")],
) -> None:
    """Write what evaluations found into an adapter's card."""
    from training.sft.measured import add_measured

    with describe_errors():
        found = find_adapter(adapter)
        if found is None:
            raise typer.BadParameter(f"{adapter} is no adapter")
        card = add_measured(found[0], [run / "summary.json" for run in runs])
    table = Table("environment", "split", "method", "n", "success", "reward", box=None)
    for one in card.measured:
        rates = (f"{one.success_rate:.3f}", f"{one.mean_reward:.3f}")
        table.add_row(one.environment, one.split, one.method, str(one.n), *rates)
    Console().print(table)


@adapters.command("push")
def push_adapter(
    adapter: Annotated[str, typer.Argument(help="A shipped adapter's name, or a folder.")],
    actor: Annotated[
        list[str] | None,
        typer.Option(help="An actor's address; may be given again. By default this machine's."),
    ] = None,
    path: Annotated[
        Path | None, typer.Option(help="The folder as the engines see it; by default as it is here.")
    ] = None,
    retire: Annotated[
        bool, typer.Option(help="Unload those before it when no live episode uses them.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="How long to wait for such episodes, seconds.")
    ] = 600,
    url: Annotated[
        str,
        typer.Option(envvar="ESPALIER_URL", help="The orchestrator's address; by default this machine's."),
    ] = "",
) -> None:
    """Load an adapter into engines, or swap the merged weights of this machine's stack; see it answer."""
    from espalier.adapter_folder import read_card
    from espalier.stack import push

    settings = StackSettings()
    folder = adapter_folder(adapter)
    actors = actor or [settings.url("actor")]
    with describe_errors():
        card = read_card(folder)
        if not actor and push.swaps(settings):
            push.swap(card, folder, settings, patience if retire else 0, report)
        else:
            push.push(card, (path or folder.resolve()), actors, report)
            if retire:
                push.retire(card, actors, url or settings.url("orchestrator"), patience, report)
    print(card.name)
