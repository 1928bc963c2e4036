"""`espalier construct`, `espalier train`, `espalier adapters`: agent data, tuning, what is served."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from espalier.client import EspalierError
from espalier.stack.adapters import SHIPPED, find_adapter, prepare_served, shipped
from espalier.stack.embedded import prepare_model
from espalier.stack.settings import StackSettings

if TYPE_CHECKING:
    from training.construct.making import Made
    from training.construct.role_settings import ConstructSettings

construct = typer.Typer(help="Make agent data.", no_args_is_help=True)
adapters = typer.Typer(help="Adapters: what is shipped, what is served.", no_args_is_help=True)
Env = Annotated[str, typer.Option("--env", help="The environment.")]
Split = Annotated[str, typer.Option(help="The tasks to draw from.")]
Out = Annotated[Path, typer.Option(help="The file of records; what it holds is not made again.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="How many tasks.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Which tasks.")]
Turns = Annotated[int, typer.Option(min=0, max=500, help="The most turns; 0: the environment's own limit.")]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Tasks at once.")]
Url = Annotated[str, typer.Option(help="The environment's server; by default one is started.")]
Prompts = Annotated[Path | None, typer.Option(help="A folder of prompts <role>.txt that replace ours.")]


IMAGINED_TURNS = 30


def _model(role: str, what: str) -> typer.models.OptionInfo:
    return typer.Option(f"--{role}-{what}", help=f"The {role}'s own, instead of --role-{what}.")


RoleUrl = Annotated[str, typer.Option(help="The OpenAI-compatible server of all roles without their own.")]
RoleModel = Annotated[str, typer.Option(help="Its model's name; by default the first that it lists.")]


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors that a person can mend, told in one line."""
    from training.construct.experts import UnknownEnvironmentError
    from training.construct.record import RecordError
    from training.construct.role_settings import RoleSetupError
    from training.construct.servers import ServerError
    from training.construct.templates import PromptError
    from training.sft.card import AdapterError
    from training.sft.examples import GeneralDataError
    from training.sft.mix import MixError

    try:
        yield
    except (
        AdapterError,
        GeneralDataError,
        MixError,
        OSError,
        PromptError,
        RecordError,
        RoleSetupError,
        ServerError,
        UnknownEnvironmentError,
        EspalierError,
    ) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


def _tell(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False)


@construct.command()
def experts(
    env: Env,
    split: Split,
    out: Out,
    limit: Limit = 100,
    seed: Seed = 0,
    least: Annotated[float, typer.Option(min=0, max=1, help="The least reward that is kept.")] = 0.99,
    derived: Annotated[
        int, typer.Option(min=0, help="Planner's records of these runs; judge's are twice as many.")
    ] = 0,
    url: Url = "",
) -> None:
    """Play tasks with the environment's scripted expert; keep what succeeds."""
    from training.construct.collect import collect
    from training.construct.servers import serving

    with told(), contextlib.ExitStack() as stack:
        where = url or stack.enter_context(serving(env, StackSettings().logs))
        found = asyncio.run(
            collect(env, where, split, out, _tell, limit=limit, seed=seed, least=least, derived=derived)
        )
    print(
        f"{out}: {found.kept} of {found.played} kept, {found.derived} derived, "
        f"{found.unknown} the expert does not know, {found.failed} failed"
    )


@construct.command()
def roleplay(
    out: Out,
    env: Annotated[str, typer.Option("--env", help="The environment that answers, where grounded.")] = "",
    split: Annotated[str, typer.Option(help="Its tasks to draw from.")] = "",
    imagined: Annotated[bool, typer.Option(help="A model answers, in rooms drawn by the seed.")] = False,
    reword: Annotated[bool, typer.Option(help="Grounded: tasks are said in other words.")] = False,
    limit: Limit = 100,
    seed: Seed = 0,
    turns: Turns = 0,
    concurrency: Concurrency = 4,
    url: Url = "",
    role_url: RoleUrl = "",
    role_model: RoleModel = "",
    question_generator_url: Annotated[str, _model("question-generator", "url")] = "",
    question_generator_model: Annotated[str, _model("question-generator", "model")] = "",
    action_maker_url: Annotated[str, _model("action-maker", "url")] = "",
    action_maker_model: Annotated[str, _model("action-maker", "model")] = "",
    environment_agent_url: Annotated[str, _model("environment-agent", "url")] = "",
    environment_agent_model: Annotated[str, _model("environment-agent", "model")] = "",
    prompts: Prompts = None,
) -> None:
    """Let role models make data: grounded in a real environment, or imagined by a model as well.

    Keys are read from the environment alone; docs/tuning.md says from which variables.
    """
    if imagined == bool(env and split):
        raise typer.BadParameter("give --imagined, or --env and --split")
    from training.construct.constructions import make_grounded, make_imagined
    from training.construct.servers import serving

    with told(), contextlib.ExitStack() as stack:
        settings = _settings(
            role_url=role_url,
            role_model=role_model,
            role_prompts=prompts,
            question_generator_url=question_generator_url,
            question_generator_model=question_generator_model,
            action_maker_url=action_maker_url,
            action_maker_model=action_maker_model,
            environment_agent_url=environment_agent_url,
            environment_agent_model=environment_agent_model,
        )
        bounds = {"limit": limit, "seed": seed, "concurrency": concurrency}
        if imagined:
            run = make_imagined(settings, out, _tell, turns=turns or IMAGINED_TURNS, **bounds)
        else:
            settings.address("action_maker")
            where = url or stack.enter_context(serving(env, StackSettings().logs))
            run = make_grounded(settings, where, split, out, _tell, reword=reword, turns=turns, **bounds)
        _conclude(out, asyncio.run(run))


@construct.command("in-context")
def in_context(
    env: Env,
    split: Split,
    examples: Annotated[list[Path], typer.Option(help="Records to imitate; may be given again.")],
    out: Out,
    shots: Annotated[int, typer.Option(min=1, max=16, help="Trajectories that are shown.")] = 2,
    limit: Limit = 100,
    seed: Seed = 0,
    turns: Turns = 0,
    concurrency: Concurrency = 4,
    url: Url = "",
    role_url: RoleUrl = "",
    role_model: RoleModel = "",
    action_maker_url: Annotated[str, _model("action-maker", "url")] = "",
    action_maker_model: Annotated[str, _model("action-maker", "model")] = "",
    prompts: Prompts = None,
) -> None:
    """Let a model imitate whole trajectories on other tasks of a real environment."""
    from training.construct.constructions import make_in_context
    from training.construct.servers import serving

    with told(), contextlib.ExitStack() as stack:
        settings = _settings(
            role_url=role_url,
            role_model=role_model,
            role_prompts=prompts,
            action_maker_url=action_maker_url,
            action_maker_model=action_maker_model,
        )
        settings.address("action_maker")
        where = url or stack.enter_context(serving(env, StackSettings().logs))
        bounds = {"limit": limit, "seed": seed, "turns": turns, "concurrency": concurrency}
        run = make_in_context(settings, where, split, examples, out, _tell, shots=shots, **bounds)
        _conclude(out, asyncio.run(run))


@construct.command("filter")
def filter_records(
    source: Annotated[Path, typer.Argument(help="A file of records.")],
    out: Annotated[Path, typer.Option(help="What passes; written anew.")],
    least: Annotated[float, typer.Option(min=0, max=1, help="The least reward.")] = 0.99,
    most_turns: Annotated[int, typer.Option(min=1, help="The most turns.")] = 50,
    most_characters: Annotated[int, typer.Option(min=1, help="The most characters of a record.")] = 60_000,
    skip: Annotated[list[str] | None, typer.Option(help="Leave a filter out; may be given again.")] = None,
    replay: Annotated[bool, typer.Option(help="Take the actions again in the real environments.")] = True,
    url: Annotated[
        list[str] | None, typer.Option(help="ENV=URL: its server; by default one is started.")
    ] = None,
    concurrency: Concurrency = 8,
) -> None:
    """Keep the records that pass every filter; the others go into a file with the reasons."""
    from training.construct.filtering import environments_of, filter_with_servers
    from training.construct.filters import standard
    from training.construct.servers import serving

    filters = standard(least, most_turns, most_characters)
    unknown = set(skip or ()) - {one.name for one in filters}
    if unknown:
        raise typer.BadParameter(f"filters are {', '.join(one.name for one in filters)}")
    urls = {name: where for name, _, where in (one.partition("=") for one in url or ())}
    with told(), contextlib.ExitStack() as stack:
        for name in environments_of(source) if replay else ():
            urls[name] = urls.get(name) or stack.enter_context(serving(name, StackSettings().logs))
        chosen = [one for one in filters if one.name not in (skip or ())]
        run = filter_with_servers(source, out, chosen, urls if replay else {}, _tell, concurrency=concurrency)
        found = asyncio.run(run)
    table = Table("filter", "asks for", "passed", "rejected", box=None)
    about = {one.name: one.about for one in filters}
    for name in dict.fromkeys([*about, *found.passed, *found.rejected]):
        table.add_row(name, about.get(name, ""), str(found.passed[name]), str(found.rejected[name]))
    Console().print(table)
    print(f"{out}: {found.kept} of {found.read} kept")


@construct.command()
def review(
    path: Annotated[Path, typer.Argument(help="A file of records.")],
    out: Annotated[Path | None, typer.Option(help="Write what is accepted so far; written anew.")] = None,
) -> None:
    """Accept or reject records by a key; decisions are kept, and a review goes on where it was."""
    from training.construct.keys import keys
    from training.construct.review import review as look
    from training.construct.review import write_accepted

    with told(), contextlib.closing(keys(sys.stdin)) as pressed:
        state = look(path, pressed, Console())
        now = state.reviewed()
        print(f"{path}: {now.accepted} accepted, {now.rejected} rejected, {now.left} left")
        if out:
            print(f"{out}: {write_accepted(state, out)} written")


def _settings(**given: str | Path | None) -> "ConstructSettings":
    """The role models' settings: the options, else the environment."""
    from training.construct.role_settings import ConstructSettings

    return ConstructSettings().model_copy(update={name: value for name, value in given.items() if value})


def _conclude(out: Path, made: "Made") -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in made.rejected.most_common())
    print(
        f"{out}: {made.kept} kept, {made.rejected.total()} rejected{f' ({reasons})' if reasons else ''}, "
        f"{made.failed} failed, {made.there} were there"
    )
    if made.stopped:
        _tell(f"error: stopped: {made.stopped}; the same command goes on from here")
        sys.exit(1)


@construct.command()
def show(
    path: Annotated[Path, typer.Argument(help="A file of records.")],
    number: Annotated[int | None, typer.Option(help="Show this record; by default they are counted.")] = None,
) -> None:
    """Look at records: counts, or one of them whole."""
    from training.construct.viewer import card, conversation

    with told():
        Console().print(card(path) if number is None else conversation(path, number))


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
