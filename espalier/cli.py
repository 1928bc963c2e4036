"""The `espalier` command."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.live import Live
from rich.table import Table

from espalier import construct, tuning
from espalier.backup import export_command, import_command
from espalier.client import AsyncEspalier, Espalier, EspalierError
from espalier.evaluating import check_options, report_command, run_matrix
from espalier.improve import improve_command
from espalier.new_environment import NewEnvironmentError, write_environment
from espalier.plain import plain
from espalier.serve import FACTORIES, serve
from espalier.stack.embedded import SetupError
from espalier.stack.settings import StackSettings
from espalier.stack.supervisor import PartError, stop_other
from espalier.stack.up import detach, is_up, part_states, running_stack, state_file, stay_up
from espalier.view import EpisodeView, summary
from services.contracts.episode import Budget, Episode, EpisodeCreate, Feedback, Priority, State

app = typer.Typer(
    name="espalier",
    help="Serves small language models as agents: planner, judge, actor, search, environments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(construct.app, name="construct")
app.add_typer(tuning.adapters, name="adapters")
app.command()(tuning.train)
app.command("improve")(improve_command)
app.command("report")(report_command)
app.command("export")(export_command)
app.command("import")(import_command)
Url = Annotated[
    str, typer.Option(envvar="ESPALIER_URL", help="The orchestrator's address; by default this machine's.")
]
Env = Annotated[str, typer.Option("--env", help="The environment.")]


def main() -> None:
    """Run the command; errors that a person can mend are printed in one line."""
    try:
        app()
    except EspalierError as error:
        _stop(str(error), error.problem.allowed)
    except (SetupError, PartError) as error:
        _stop(str(error))


def _stop(text: str, allowed: list[str] | None = None) -> None:
    # Errors are one line however narrow the terminal is.
    console = Console(stderr=True, soft_wrap=True)
    console.print(plain(f"error: {text}"), style="red", markup=False, highlight=False)
    if allowed:
        console.print(f"allowed: {', '.join(allowed)}", markup=False, highlight=False)
    sys.exit(1)


def _url(given: str) -> str:
    return given or StackSettings().url("orchestrator")


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    engines: Annotated[
        int | None, typer.Option(min=1, max=16, help="Embedded engines, a share of the cores each.")
    ] = None,
    detached: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
) -> None:
    """Start every part on this machine and keep it going."""
    settings = StackSettings(workers=workers)
    if engines is not None:
        settings = settings.model_copy(update={"engine_replicas": engines})
    console = Console()
    raise typer.Exit(detach(settings, console) if detached else asyncio.run(stay_up(settings, console)))


@app.command()
def down() -> None:
    """Stop the stack that is up on this machine."""
    print("stopped" if stop_other(state_file(StackSettings())) else "nothing is up")


@app.command()
def status() -> None:
    """Show every part of the stack that is up on this machine."""
    parts = part_states(StackSettings())
    if not parts:
        print("nothing is up; `espalier up` starts the stack")
        raise typer.Exit(1)
    table = Table("part", "pid", "port", "state", box=None)
    for name, pid, port, state in parts:
        table.add_row(name, str(pid), str(port), state)
    Console().print(table)
    if any(state != "ready" for *_, state in parts):
        raise typer.Exit(1)


@app.command("serve", help=f"Serve one part: {', '.join(FACTORIES)}.")
def serve_part(
    part: str,
    host: Annotated[str, typer.Option(envvar="ESPALIER_HOST")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(envvar="ESPALIER_PORT", help="By default the part's own.")
    ] = None,
) -> None:
    """Serve one part until it is stopped."""
    if part not in FACTORIES:
        raise typer.BadParameter(f"{part} is not one of {', '.join(FACTORIES)}")
    try:
        serve(part, host, port)
    except ValueError as error:
        _stop(str(error))


@app.command("new-environment")
def new_environment(
    name: Annotated[str, typer.Argument(help="The environment's name, and its package's.")],
    into: Annotated[Path, typer.Option(help="Where its folder is made.")] = Path(),
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default one that no environment has.")
    ] = None,
) -> None:
    """Write a package of an environment that works, with its test."""
    try:
        folder = write_environment(name, into, port)
    except (NewEnvironmentError, OSError) as error:
        _stop(str(error))
    else:
        place = folder if folder.is_absolute() else f"./{folder}"
        print(f"wrote {folder}; install it with: pip install --no-build-isolation {place}")


@app.command()
def tasks(
    env: Env,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
    url: Url = "",
) -> None:
    """List the tasks of an environment."""
    with Espalier(_url(url)) as client:
        left, cursor = limit, None
        while left > 0:
            page = client.tasks(env, split=split, cursor=cursor, limit=min(left, 1000))
            for task in page.tasks:
                print(plain(f"{task.id}\t{task.kind}\t{task.instruction}"))
            left, cursor = left - len(page.tasks), page.next
            if cursor is None:
                break


@app.command()
def run(
    env: Env,
    task: Annotated[str | None, typer.Option(help="A task's id; by default the environment's first.")] = None,
    method: Annotated[str, typer.Option(help="io, cot, react or tmbr.")] = "tmbr",
    num_branch: Annotated[int | None, typer.Option(help="Candidates a step.")] = None,
    num_path: Annotated[int | None, typer.Option(help="Root-to-end attempts.")] = None,
    num_subtasks: Annotated[int | None, typer.Option(help="Subtasks of the plan; 0: none.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Steps of a path.")] = None,
    seed: int = 0,
    feedback: Feedback = Feedback.JUDGE,
    adapter: Annotated[str | None, typer.Option(help="An adapter by name.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Budget of wall time.")] = None,
    priority: Annotated[Priority, typer.Option(help="Batch work waits for interactive work.")] = (
        Priority.INTERACTIVE
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the episode's record instead.")] = False,
    url: Url = "",
) -> None:
    """Run one episode and watch its tree grow."""
    with Espalier(_url(url)) as client:
        if task is None:
            first = client.tasks(env, limit=1).tasks
            if not first:
                raise typer.BadParameter(f"{env} has no tasks")
            task = first[0].id
        given = {
            "num_branch": num_branch,
            "num_path": num_path,
            "num_subtasks": num_subtasks,
            "max_steps": max_steps,
            "adapter": adapter,
            "budget": None if seconds is None else Budget(seconds=seconds),
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        body = EpisodeCreate.model_construct(
            environment=env,
            task_id=task,
            method=method,
            seed=seed,
            feedback=feedback,
            priority=priority,
            **chosen,
        )
        episode = client.create(body)
        if as_json:
            episode = client.wait(episode.id)
            print(episode.model_dump_json(indent=2))
        else:
            episode = _watch(client, episode)
            summary(Console(), episode)
    raise typer.Exit(0 if episode.state is State.COMPLETED else 1)


def _watch(client: Espalier, episode: Episode) -> Episode:
    console = Console()
    view = EpisodeView(episode.instruction)
    with _live(view, console):
        for event in client.events(episode.id):
            view.add(event)
    console.print(view.tree)
    return client.get(episode.id)


def _live(view: EpisodeView, console: Console) -> Live:
    return Live(view, console=console, refresh_per_second=8, transient=True, vertical_overflow="visible")


@app.command()
def replay(episode: str, url: Url = "") -> None:
    """Run an ended episode's method again on its recorded answers, and compare."""
    with Espalier(_url(url)) as client:
        replayed = client.replay(episode)
    print(f"{replayed.calls} recorded answers replayed: {'identical' if replayed.identical else 'DIFFERENT'}")
    if replayed.detail:
        print(plain(replayed.detail))
    raise typer.Exit(0 if replayed.identical else 1)


@app.command("eval")
def evaluate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder for summary.json and episodes.jsonl.")],
    matrix: Annotated[
        Path | None, typer.Argument(help="A YAML file of many runs, instead of --env, --split and --method.")
    ] = None,
    env: Annotated[str | None, typer.Option("--env", help="The environment.")] = None,
    split: Annotated[str | None, typer.Option(help="The split to take tasks from.")] = None,
    method: Annotated[str | None, typer.Option(help="A method, such as react or tmbr.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first tasks.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Episodes at once.")] = 4,
    num_branch: int | None = None,
    num_path: int | None = None,
    num_subtasks: int | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    feedback: Feedback = Feedback.JUDGE,
    adapter: str | None = None,
    samples: Annotated[int, typer.Option(min=1, max=64, help="Episodes of each task.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="The actor's, for io, cot and react.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the method, NAME=VALUE; may be given again.")
    ] = None,
    url: Url = "",
    actor_url: Annotated[
        str, typer.Option(envvar="ESPALIER_ACTOR_URL", help="The actor's address, for a matrix of adapters.")
    ] = "",
) -> None:
    """Run a method on a split and sum it up, or a matrix of many; what was interrupted goes on."""
    from evaluation.run import EvaluationError, run_evaluation
    from evaluation.samples import run_samples

    check_options(context, matrix is not None)
    options = {
        "num_branch": num_branch,
        "num_path": num_path,
        "num_subtasks": num_subtasks,
        "max_steps": max_steps,
        "adapter": adapter,
        "params": parse_params(param or [], temperature) or None,
    }
    body = EpisodeCreate.model_construct(
        environment=env,
        task_id="",
        method=method,
        seed=seed,
        feedback=feedback,
        **{name: value for name, value in options.items() if value is not None},
    )
    where = {"split": split, "out": out, "limit": limit, "concurrency": concurrency, "url": _url(url)}
    try:
        if matrix is not None:
            run_matrix(matrix, out, _url(url), actor_url)
            return
        if samples > 1:
            found = asyncio.run(run_samples(body, samples=samples, **where))
        else:
            found = asyncio.run(run_evaluation(body, **where))
    except EvaluationError as error:
        _stop(str(error))
    else:
        print(found.model_dump_json(indent=2))


def parse_params(given: list[str], temperature: float | None) -> dict[str, JsonValue]:
    """Return a method's parameters as an episode takes them; a value is JSON, or else a text.

    Raises:
        BadParameter: One is not NAME=VALUE, or is given twice.
    """
    params: dict[str, JsonValue] = {} if temperature is None else {"temperature": temperature}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name or name in params:
            raise typer.BadParameter(f"--param {one}: give each as NAME=VALUE once, such as grammar=always")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


@app.command()
def demo(
    task: Annotated[str | None, typer.Option(help="A task's id.")] = None,
    method: str = "tmbr",
) -> None:
    """Start the stack, play one ALFWorld task, stop the stack."""
    settings = StackSettings(start_environments=["alfworld"], openenv={})
    task = task or "generated_valid/0"
    if is_up(settings):
        run(env="alfworld", task=task, method=method)
    try:
        code = asyncio.run(_demo(settings, task, method))
    except (SetupError, PartError, EspalierError, OSError) as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
        code = 1
    raise typer.Exit(code)


async def _demo(settings: StackSettings, task: str, method: str) -> int:
    console = Console()
    console.print("starting the stack; the embedded engine takes most of a minute")
    async with running_stack(settings, console) as supervisor:
        watch = asyncio.create_task(supervisor.watch())
        playing = asyncio.create_task(_play_demo(settings, console, task, method))
        try:
            await asyncio.wait({watch, playing}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()  # a part that keeps dying ends the demo with its reason
            episode = await playing
        finally:
            watch.cancel()
            playing.cancel()
            await asyncio.gather(watch, playing, return_exceptions=True)
    summary(console, episode)
    return 0 if episode.state is State.COMPLETED else 1


async def _play_demo(settings: StackSettings, console: Console, task: str, method: str) -> Episode:
    async with AsyncEspalier(settings.url("orchestrator"), api_key=settings.own_key()) as client:
        episode = await client.create(EpisodeCreate(environment="alfworld", task_id=task, method=method))
        view = EpisodeView(episode.instruction)
        with _live(view, console):
            async for event in client.events(episode.id):
                view.add(event)
        console.print(view.tree)
        return await client.wait(episode.id)
