"""The splits of the database tasks: AgentBench's own under `ESPALIER_AGENTBENCH_DATA`, and generated ones."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from envs.dbbench.tasks.generator import Generator
from envs.dbbench.tasks.questions import Question
from envs.dbbench.tasks.wiki.generator import WIKI, load_generator
from envs.serving.tasks import Shown, Split, TaskTable, halve, list_split, number_split

GENERATED_TRAIN, GENERATED_VALID = "generated_train", "generated_valid"
GENERATED = (GENERATED_TRAIN, GENERATED_VALID)


def make_table(
    official: Mapping[str, Sequence[Question]],
    generated: int,
    seed: int,
    sources: Path | None = None,
    sourced: int = 0,
) -> TaskTable[Question]:
    """Return all tasks, the official splits first. A task's name is its position, from 0.

    The halves of `dev` have the names that its tasks have in it.

    Args:
        official: The official splits by name.
        generated: How many tasks each generated split has.
        seed: What they are generated from.
        sources: The folder of tables of Wikipedia and of questions about them.
        sourced: How many tasks each split over them has.

    Raises:
        SourceError: That folder lacks a file, or one is malformed.
    """
    generator = Generator(seed)
    splits = {name: _split(len(questions), questions.__getitem__) for name, questions in official.items()}
    dev = {str(number): question for number, question in enumerate(official.get("dev", ()))}
    halves = halve(dev, lambda question: question.text)
    splits |= {name: list_split(half, _show) for name, half in halves.items()}
    splits |= {name: _split(generated, partial(generator.question, name)) for name in GENERATED}
    if sources is not None:
        make = load_generator(sources, seed).make
        for name in WIKI:
            splits[name] = _split(sourced, lambda number, split=name: make(split, number).question)
    return TaskTable(splits)


def _split(count: int, make: Callable[[int], Question]) -> Split[Question]:
    return number_split(count, make, lambda number: _show(make(number)))


def _show(question: Question) -> Shown:
    return Shown(question.text, question.kind)
