"""`espalier construct`: agent data is made, filtered, looked through."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from espalier.errors import describe_errors, report, stop
from espalier.stack.settings import StackSettings

if TYPE_CHECKING:
    from training.construct.making import Made

app = typer.Typer(help="Make agent data.", no_args_is_help=True)
Env = Annotated[str, typer.Option("--env", help="The environment.")]
Split = Annotated[str, typer.Option(help="The tasks to draw from.")]
Out = Annotated[Path, typer.Option(help="The file of records; what it holds is not made again.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="How many tasks.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Which tasks.")]
Turns = Annotated[int, typer.Option(min=0, max=500, help="The most turns; 0: the environment's own limit.")]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Tasks at once.")]
Url = Annotated[str, typer.Option(help="The environment's server; by default one is started.")]
Derived = Annotated[
    int,
    typer.Option(min=0, help="Plans, steps and selections made of these runs; twice as many verdicts."),
]
Prompts = Annotated[Path | None, typer.Option(help="A folder of prompts <role>.txt that replace ours.")]
IMAGINED_TURNS = 30


def _model(role: str, what: str) -> typer.models.OptionInfo:
    return typer.Option(f"--{role}-{what}", help=f"The {role}'s own, instead of --role-{what}.")


RoleUrl = Annotated[str, typer.Option(help="The OpenAI-compatible server of all roles without their own.")]
RoleModel = Annotated[str, typer.Option(help="Its model's name; by default the first that it lists.")]


@app.command()
def experts(
    env: Env,
    split: Split,
    out: Out,
    limit: Limit = 100,
    seed: Seed = 0,
    least: Annotated[float, typer.Option(min=0, max=1, help="The least reward that is kept.")] = 0.99,
    derived: Derived = 0,
    url: Url = "",
) -> None:
    """Play tasks with the environment's scripted expert; keep what succeeds."""
    from training.construct.collect import collect
    from training.construct.experts import player
    from training.construct.servers import server

    with describe_errors(), contextlib.ExitStack() as stack:
        player(env)
        where = stack.enter_context(server(env, url, StackSettings().logs))
        found = asyncio.run(
            collect(env, where, split, out, report, limit=limit, seed=seed, least=least, derived=derived)
        )
    print(
        f"{out}: {found.kept} of {found.played} kept, {found.derived} derived, "
        f"{found.unknown} of a kind that the expert lacks, {found.failed} failed"
    )


@app.command()
def corrected(
    env: Env,
    split: Split,
    out: Out,
    actor: Annotated[
        str, typer.Option(help="The actor's service; by default an expert that stumbles on purpose.")
    ] = "",
    corrections: Annotated[int, typer.Option(min=1, max=50, help="How often the expert takes over.")] = 3,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="The actor's.")] = 0.0,
    limit: Limit = 100,
    seed: Seed = 0,
    derived: Derived = 0,
    concurrency: Concurrency = 8,
    url: Url = "",
) -> None:
    """Let the served actor play, and the expert go on where it errs; the expert's turns are taught."""
    from training.construct.corrected import make_corrected
    from training.construct.experts import guide
    from training.construct.servers import server

    with describe_errors(), contextlib.ExitStack() as stack:
        guide(env)
        where = stack.enter_context(server(env, url, StackSettings().logs))
        run = make_corrected(
            env,
            where,
            actor,
            split,
            out,
            report,
            limit=limit,
            seed=seed,
            corrections=corrections,
            temperature=temperature,
            concurrency=concurrency,
            derived=derived,
        )
        _conclude(out, asyncio.run(run))


@app.command()
def values(
    env: Env,
    split: Split,
    out: Out,
    actor: Annotated[str, typer.Option(help="The actor's service.")] = "http://127.0.0.1:8003",
    states: Annotated[
        int, typer.Option(min=0, max=20, help="States of a task's path whose candidates are valued.")
    ] = 2,
    visited: Annotated[
        int, typer.Option(min=0, max=50, help="States of the path that are valued by how it ended.")
    ] = 0,
    rollouts: Annotated[int, typer.Option(min=1, max=32, help="Rollouts from each candidate.")] = 2,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of rollouts after the first.")] = 0.7,
    equal: Annotated[
        float, typer.Option(min=0, max=1, help="Share kept of states whose candidates are worth the same.")
    ] = 0.35,
    forecasts: Annotated[
        float, typer.Option(min=0, max=1, help="Share of values without what the action led to.")
    ] = 0.2,
    limit: Limit = 100,
    seed: Seed = 0,
    concurrency: Concurrency = 8,
    url: Url = "",
) -> None:
    """Measure by rollouts how likely success is from states of the actor's own paths; the judge learns it."""
    from training.construct.servers import server
    from training.construct.values import Effort, make_values

    with describe_errors(), contextlib.ExitStack() as stack:
        where = stack.enter_context(server(env, url, StackSettings().logs))
        run = make_values(
            env,
            where,
            actor,
            split,
            out,
            report,
            limit=limit,
            seed=seed,
            effort=Effort(states, visited, rollouts, temperature, equal, forecasts),
            concurrency=concurrency,
        )
        _conclude(out, asyncio.run(run))


@app.command()
def roleplay(
    out: Out,
    env: Annotated[str, typer.Option("--env", help="The environment that answers, where grounded.")] = "",
    split: Annotated[str, typer.Option(help="Its tasks to draw from.")] = "",
    imagined: Annotated[bool, typer.Option(help="A model answers, in rooms drawn by the seed.")] = False,
    reword: Annotated[bool, typer.Option(help="Grounded: tasks are put in other words.")] = False,
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

    Keys are read from the environment alone; docs/tuning.md lists the variables.
    """
    if imagined == bool(env and split):
        raise typer.BadParameter("give --imagined, or --env and --split")
    if imagined and (env or split or url or reword):
        raise typer.BadParameter("--env, --split, --url and --reword are not for --imagined")
    from training.construct.constructions import make_grounded, make_imagined
    from training.construct.role_settings import ConstructSettings
    from training.construct.servers import server

    with describe_errors(), contextlib.ExitStack() as stack:
        settings = ConstructSettings.read(
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
            run = make_imagined(settings, out, report, turns=turns or IMAGINED_TURNS, **bounds)
        else:
            for role in ("question_generator", "action_maker") if reword else ("action_maker",):
                settings.address(role)
            where = stack.enter_context(server(env, url, StackSettings().logs))
            run = make_grounded(settings, where, split, out, report, reword=reword, turns=turns, **bounds)
        _conclude(out, asyncio.run(run))


@app.command("in-context")
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
    from training.construct.role_settings import ConstructSettings
    from training.construct.servers import server

    with describe_errors(), contextlib.ExitStack() as stack:
        settings = ConstructSettings.read(
            role_url=role_url,
            role_model=role_model,
            role_prompts=prompts,
            action_maker_url=action_maker_url,
            action_maker_model=action_maker_model,
        )
        settings.address("action_maker")
        where = stack.enter_context(server(env, url, StackSettings().logs))
        bounds = {"limit": limit, "seed": seed, "turns": turns, "concurrency": concurrency}
        run = make_in_context(settings, where, split, examples, out, report, shots=shots, **bounds)
        _conclude(out, asyncio.run(run))


@app.command("filter")
def filter_records(
    source: Annotated[Path, typer.Argument(help="A file of records.")],
    out: Annotated[Path, typer.Option(help="What passes; written anew.")],
    least: Annotated[float, typer.Option(min=0, max=1, help="The least reward.")] = 0.99,
    most_turns: Annotated[int, typer.Option(min=1, help="The most turns.")] = 50,
    most_characters: Annotated[int, typer.Option(min=1, help="The most characters of a record.")] = 60_000,
    skip: Annotated[list[str] | None, typer.Option(help="Leave a filter out; may be given again.")] = None,
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Evaluation tasks that are kept out; may be given again.")
    ] = None,
    near: Annotated[float, typer.Option(min=0.1, max=1, help="How like one a task must be, of 1.")] = 0.8,
    replay: Annotated[bool, typer.Option(help="Take the actions again in the real environments.")] = True,
    url: Annotated[
        list[str] | None, typer.Option(help="ENV=URL: its server; by default one is started.")
    ] = None,
    concurrency: Concurrency = 8,
) -> None:
    """Keep the records that pass every filter; the others go into a file with the reasons."""
    from training.construct.exclusion import make_filter, read_exclusions
    from training.construct.filtering import MALFORMED, environments_of, filter_with_servers
    from training.construct.filters import standard
    from training.construct.replay import ABOUT as REPLAYED
    from training.construct.replay import NAME as REPLAY
    from training.construct.servers import server

    filters = standard(least, most_turns, most_characters)
    if exclude:
        with describe_errors():
            filters.insert(0, make_filter(read_exclusions(exclude, near)))
    unknown = set(skip or ()) - {one.name for one in filters}
    if unknown:
        raise typer.BadParameter(f"filters are {', '.join(one.name for one in filters)}")
    given = dict(_named(one) for one in url or ())
    with describe_errors(), contextlib.ExitStack() as stack:
        urls = {
            name: stack.enter_context(server(name, given.get(name, ""), StackSettings().logs))
            for name in (environments_of(source, given) if replay else ())
        }
        chosen = [one for one in filters if one.name not in (skip or ())]
        run = filter_with_servers(source, out, chosen, urls, report, concurrency=concurrency)
        found = asyncio.run(run)
    table = Table("filter", "requires", "passed", "rejected", box=None)
    about = {one.name: one.about for one in chosen} | {REPLAY: REPLAYED, MALFORMED: "a line is a record"}
    for name in dict.fromkeys([*(one.name for one in chosen), *found.passed, *found.rejected]):
        table.add_row(name, about[name], str(found.passed[name]), str(found.rejected[name]))
    Console().print(table)
    print(f"{out}: {found.kept} of {found.read} kept")


@app.command()
def review(
    path: Annotated[Path, typer.Argument(help="A file of records.")],
    out: Annotated[Path | None, typer.Option(help="Write what is accepted so far; written anew.")] = None,
) -> None:
    """Accept or reject records by a key; decisions are kept, and a review goes on where it was."""
    from training.construct.keys import keys
    from training.construct.review import review as look
    from training.construct.review import write_accepted

    with describe_errors(), contextlib.closing(keys(sys.stdin)) as pressed:
        state = look(path, pressed, Console())
        now = state.reviewed()
        print(f"{path}: {now.accepted} accepted, {now.rejected} rejected, {now.left} left")
        if out:
            print(f"{out}: {write_accepted(state, out)} written")


def _named(option: str) -> tuple[str, str]:
    name, _, where = option.partition("=")
    if not (name and where):
        raise typer.BadParameter(f"--url {option}: it is ENV=URL, such as alfworld=http://127.0.0.1:8201")
    return name, where


def _conclude(out: Path, made: "Made") -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in made.rejected.most_common())
    print(
        f"{out}: {made.kept} kept, {made.rejected.total()} rejected{f' ({reasons})' if reasons else ''}, "
        f"{made.failed} failed, {made.there} were there"
    )
    if made.stopped:
        stop(f"stopped: {made.stopped}; the same command goes on from here")


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="A file of records.")],
    number: Annotated[int | None, typer.Option(help="Show this record; by default they are counted.")] = None,
) -> None:
    """Look at records: counts, or one of them whole."""
    from training.construct.viewer import card, conversation

    with describe_errors():
        Console().print(card(path) if number is None else conversation(path, number))
