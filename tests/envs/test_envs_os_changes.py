"""Changes and scripts of generated tasks: judged by what they leave, however it came about."""

from collections.abc import Iterator

import pytest

from envs.os_interaction.tasks.generator import TOPICS
from envs.os_interaction.tasks.table import GENERATED_TRAIN
from tests.envs.test_envs_os import Os, served_os


@pytest.fixture(scope="module")
def machine() -> Iterator[Os]:
    """A server without any data."""
    yield from served_os()


ENDS = [
    ("changes/append", "for f in {folder}/*.{ext}; do sed -i '$a {new}' $f; done", 1.0),
    ("changes/append", "for f in {folder}/*.{ext}; do echo {new} >> $f; done; touch {folder}/stray", 0.0),
    ("changes/append", "echo {new} >> $(ls {folder}/*.{ext} | head -n 1)", 0.0),
    ("changes/extension", "cd {folder}; for f in *.{ext}; do cat $f > ${{f%.*}}.{other}; rm $f; done", 1.0),
    ("changes/extension", "cd {folder}; for f in *.{ext}; do cp $f ${{f%.*}}.{other}; done", 0.0),
    ("changes/extension", "cd {folder}; for f in *.{ext}; do rm $f; touch ${{f%.*}}.{other}; done", 0.0),
    ("changes/packed", "cd {folder}; tar -cf a.tar *.{ext}; gzip a.tar; mv a.tar.gz {old}.tar.gz", 1.0),
    ("changes/packed", "tar -czf {folder}/{old}.tar.gz {folder}/*.{ext}", 0.0),
    ("changes/scripts_run", "for f in $(find {folder} -name '*.sh'); do chmod u=rwx,go=rx $f; done", 1.0),
    ("changes/scripts_run", "chmod -R 755 {folder}", 0.0),
    ("changes/linked", "cd {folder}; ln -s {file} current", 1.0),
    ("changes/linked", "cp {file} {folder}/current", 0.0),
    (
        "making/adds",
        "printf '#!/usr/bin/python3\\nimport sys\\nprint(int(sys.argv[1])+int(sys.argv[2]))' > {file}; "
        "chmod 700 {file}",
        1.0,
    ),
    ("making/adds", "printf '#!/bin/bash\\necho 7' > {file}; chmod +x {file}", 0.0),
    ("making/adds", "printf '#!/bin/bash\\necho $(($1 + $2))' > {file}", 0.0),
]
"""Ends that a way of its own comes to, and whether they are right."""


@pytest.mark.parametrize(("kind", "way", "reward"), ENDS)
def test_a_change_is_judged_by_what_it_leaves(machine: Os, kind: str, way: str, reward: float) -> None:
    task = next(task["id"] for task in machine.tasks(GENERATED_TRAIN) if task["kind"] == kind)
    state = machine.create(task)
    topic, _, name = kind.partition("/")
    template = next(one for one in TOPICS[topic] if one.name == name)
    places = template.read(state["instruction"])
    assert places is not None
    machine.step(state["session_id"], f"bash: {way.format(**places)}")
    ended = machine.step(state["session_id"], "finish")
    machine.close(state["session_id"])
    assert ended["reward"] == reward, ended["info"]
