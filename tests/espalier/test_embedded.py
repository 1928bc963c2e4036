"""The embedded engine's start: the numbers that it computes with, and code that a killed compiler left."""

import importlib.machinery
import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from espalier.stack import embedded, processor
from espalier.stack.adapters import ServedModel
from espalier.stack.embedded import engine_command, remove_broken_code
from espalier.stack.parts import plan_parts
from espalier.stack.settings import StackSettings
from services.roles.registry import ROLES


def compiled_object() -> Path:
    """Return a shared object of this interpreter's own packages."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    return next(iter(sorted(Path(orjson.__file__).parent.glob(f"*{suffix}"))))


def test_unfinished_objects_are_removed_and_whole_ones_stay(tmp_path: Path) -> None:
    whole, cut, empty = (tmp_path / "a" / name for name in ("whole.so", "cut.so", "empty.so"))
    whole.parent.mkdir()
    shutil.copy(compiled_object(), whole)
    cut.write_bytes(whole.read_bytes()[:-1])
    empty.touch()
    source = whole.with_suffix(".cpp")
    source.touch()
    assert sorted(remove_broken_code(tmp_path)) == [cut, empty]
    assert sorted(whole.parent.iterdir()) == [source, whole]
    assert remove_broken_code(tmp_path / "not made yet") == []


@pytest.mark.parametrize(
    ("flags", "wanted", "chosen"),
    [
        ("avx2", "auto", "float32"),
        ("avx512f avx512_bf16", "auto", "bfloat16"),
        ("amx_bf16", "float32", "float32"),
        ("avx2", "bfloat16", "bfloat16"),
    ],
)
def test_numbers_follow_the_processor_and_the_setting(
    flags: str, wanted: str, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(f"flags\t: fpu {flags}\n")
    monkeypatch.setattr(processor, "CPUINFO", described)
    settings = StackSettings.model_validate({"home": tmp_path, "engine_dtype": wanted})
    assert f"--dtype={chosen}" in engine_command(settings, tmp_path)


def test_a_preferred_process_is_less_nice_where_the_user_may(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        before = os.getpriority(os.PRIO_PROCESS, process.pid)
        granted = processor.prefer(process.pid)
        after = os.getpriority(os.PRIO_PROCESS, process.pid)
        assert after == (processor.PREFERRED if granted else before)
        assert granted or os.geteuid() != 0

        def refuse(*_: int) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "setpriority", refuse)
        assert not processor.prefer(process.pid)
    finally:
        process.kill()
        process.communicate()


def test_engines_share_the_cores_and_none_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "cores", lambda: 5)
    settings = StackSettings(home=tmp_path, engine_replicas=2)
    assert [embedded.engine_cores(settings, number) for number in (0, 1)] == ["0-1", "2-3"]
    assert embedded.engine_cores(StackSettings(home=tmp_path), 1) == "0-4"
    with pytest.raises(embedded.SetupError, match="lower --engines"):
        embedded.engine_cores(StackSettings(home=tmp_path, engine_replicas=6), 0)


def test_several_engines_start_one_after_another_and_the_roles_use_the_router(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, engine_replicas=2, start_environments=[])
    parts = {part.name: part for part in plan_parts(settings, ServedModel(tmp_path))}
    assert parts["engine-2"].after == "engine"
    assert parts["router"].after == "engine-2"
    routed = f"http://127.0.0.1:{parts['router'].environment['ESPALIER_ROUTER_PORT']}"
    assert {parts[role].environment["ESPALIER_MODEL_URL"] for role in ROLES} == {routed}
    bound = [parts[name].environment["VLLM_CPU_OMP_THREADS_BIND"] for name in ("engine", "engine-2")]
    assert len(set(bound)) == 2
