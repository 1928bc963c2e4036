"""The tables that environments share: tasks by split, instances by handle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.serving.environment import InstanceLostError, UnknownTaskError
from envs.serving.instances import Instances
from envs.serving.tasks import Shown, TaskTable, list_split, number_split


@pytest.fixture
def table() -> TaskTable[str]:
    return TaskTable(
        {
            "listed": list_split({"b/c": "first", "a": "second"}, lambda item: Shown(item, "kind")),
            "none": list_split({}, Shown),
            "numbered": number_split(
                12, lambda number: "x" * number, lambda number: Shown(f"write {number}")
            ),
        }
    )


def test_splits_without_tasks_are_left_out(table: TaskTable[str]) -> None:
    assert table.splits() == ["listed", "numbered"]
    assert [table.count(split) for split in ("listed", "numbered", "none", "other")] == [2, 12, 0, 0]
    assert table.page("none", 0, 5) == []


def test_pages_and_ids_name_the_same_tasks(table: TaskTable[str]) -> None:
    listed = table.page("listed", 0, 99)
    assert [(task.id, task.instruction, task.kind) for task in listed] == [
        ("listed/b/c", "first", "kind"),
        ("listed/a", "second", "kind"),
    ]
    numbered = table.page("numbered", 10, 99)
    assert [(task.id, task.split) for task in numbered] == [(f"numbered/{n}", "numbered") for n in (10, 11)]
    assert [table.task(task.id) for task in (*listed, *numbered)] == [*listed, *numbered]
    assert [table.find(name) for name in ("listed/a", "numbered/3")] == ["second", "xxx"]


@given(st.sampled_from(["listed", "numbered", "none", ""]), st.text(max_size=8))
def test_what_is_not_listed_is_not_found(split: str, name: str) -> None:
    made = TaskTable(
        {
            "listed": list_split({"a": 1}, lambda _: Shown("")),
            "numbered": number_split(12, int, lambda _: Shown("")),
        }
    )
    known = {task.id for part in made.splits() for task in made.page(part, 0, 99)}
    for task_id in (f"{split}/{name}", f"{split}{name}"):
        if task_id in known:
            assert made.task(task_id).id == task_id
        else:
            with pytest.raises(UnknownTaskError):
                made.find(task_id)
            with pytest.raises(UnknownTaskError):
                made.task(task_id)


@pytest.mark.parametrize("name", ["01", "-1", "12", "1.0", "+1", " 1", "1 ", "\u0661", "1\n", "9" * 30])
def test_a_number_has_one_spelling(table: TaskTable[str], name: str) -> None:
    with pytest.raises(UnknownTaskError):
        table.find(f"numbered/{name}")


def test_a_task_is_shown_without_being_made() -> None:
    def make(number: int) -> int:
        raise AssertionError(f"task {number} was made")

    made = TaskTable({"numbered": number_split(3, make, lambda number: Shown(str(number)))})
    assert len(made.page("numbered", 0, 3)) == 3
    assert made.task("numbered/2").instruction == "2"


def test_instances_are_found_until_they_are_removed() -> None:
    instances: Instances[str] = Instances("visit")
    first, second = instances.add("a"), instances.add("b")
    instances.put(first, "c")
    assert (first, second, len(instances)) == ("visit-1", "visit-2", 2)
    assert [instances.get(handle) for handle in instances.handles()] == ["c", "b"]
    assert (instances.pop(first), instances.pop(first)) == ("c", None)
    with pytest.raises(InstanceLostError, match="visit-1"):
        instances.get(first)
    assert instances.clear() == ["b"]
    assert instances.add("d") == "visit-3", "a handle is never used again"
