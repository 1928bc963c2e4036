"""Chaos runs: a fault in the middle of many episodes on real processes, and nothing is lost, doubled or left.

A few faults with few episodes are part of `make test`. `make chaos` runs all of them with 50 episodes.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.checks import Outcome
from tests.chaos.faults import Fault, list_faults
from tests.chaos.run import Bench, find_fault
from tests.chaos.stack import Stack

SEED = 1000
EPISODES = 50
SHORT_EPISODES = 10
SHORT = {
    "local": ("SIGKILL worker", "SIGSTOP valkey", "SIGKILL both environments", "cut worker-judge"),
    "spread": ("SIGSTOP worker", "SIGKILL everything", "garbage worker-actor"),
}
"""The faults of `make test`, by where branches run."""


class Benches:
    """A bench for each way to run branches, made when it is first needed.

    Args:
        episodes: How many a run has.
        factory: Makes folders.
        stack: Ends the stacks.
    """

    def __init__(self, episodes: int, factory: pytest.TempPathFactory, stack: ExitStack) -> None:
        self._episodes = episodes
        self._factory = factory
        self._exit = stack
        self._made: dict[str, Bench] = {}

    def get(self, branches: str) -> Bench:
        """Return the bench; what it does undisturbed equals what branches in one process do."""
        if branches not in self._made:
            known = {} if branches == "local" else self.get("local").reference
            stack = Stack(self._factory.mktemp(f"chaos-{branches}"), branches, engine_latency=0.05)
            self._exit.callback(stack.stop)
            stack.start()
            bench = Bench(stack, branches, self._episodes, SEED, reference=known)
            undisturbed = bench.run(find_fault("none"))
            assert undisturbed.good, undisturbed.describe()
            assert {seen.state for seen in bench.reference.values()} == {"completed"}
            self._made[branches] = bench
        return self._made[branches]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    with ExitStack() as stack:
        yield Benches(SHORT_EPISODES, tmp_path_factory, stack)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    with ExitStack() as stack:
        yield Benches(EPISODES, tmp_path_factory, stack)


def check(bench: Bench, fault: Fault, outcomes: list[Outcome]) -> None:
    if fault.needs:
        pytest.skip(fault.needs)
    outcome = bench.run(fault)
    outcomes.append(outcome)
    assert outcome.live > 0, "the fault came when all episodes had ended, and shows nothing"
    assert outcome.good, outcome.describe()


@pytest.mark.parametrize(
    ("branches", "fault"), [(branches, name) for branches, names in SHORT.items() for name in names]
)
def test_nothing_is_lost_doubled_or_left(
    few: Benches, branches: str, fault: str, outcomes: list[Outcome]
) -> None:
    check(few.get(branches), find_fault(fault), outcomes)


@pytest.mark.chaos
@pytest.mark.parametrize("fault", [fault.name for fault in list_faults()])
@pytest.mark.parametrize("branches", ["local", "spread"])
def test_no_fault_loses_doubles_or_leaves_anything(
    many: Benches, branches: str, fault: str, outcomes: list[Outcome]
) -> None:
    check(many.get(branches), find_fault(fault), outcomes)
