"""The embedded engine's start: the numbers that it computes with, and code that a killed compiler left."""

import importlib.machinery
import shutil
from pathlib import Path

import orjson
import pytest

from espalier.stack import processor
from espalier.stack.embedded import engine_command, remove_broken_code
from espalier.stack.settings import StackSettings


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
