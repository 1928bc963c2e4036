"""Role models by a script, a corridor and generated houses to make data with; a tiny model that learns."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from envs.alfworld.server import create
from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from espalier import construct as commands
from tests.support import served
from tests.training.support import RoleServer, plays_well
from tests.training.tiny import CHAT, trajectory
from training.construct.collect import collect
from training.construct.record import Record, append_records, read_records
from training.construct.role_settings import ConstructSettings

Construct = Callable[..., Result]
SPLIT = "generated_train"


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's settings or generated files."""
    for name in (*ConstructSettings.model_fields, "api_keys", "api_key"):
        monkeypatch.delenv(f"ESPALIER_{name.upper()}", raising=False)
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def roles() -> Iterator[RoleServer]:
    """Role models that play well until told otherwise.

    Each test has a server of its own: what a run that ended early had asked may come after its test.
    """
    server = RoleServer(plays_well)
    with served(server.app()) as server.url:
        yield server


@pytest.fixture(scope="session")
def corridor() -> Iterator[str]:
    """The twin environment's address; it has eight corridors, of 1 to 8 cells."""
    with served(serve(TwinEnvironment(tasks=8), EnvironmentSettings())) as url:
        yield url


@pytest.fixture(scope="session")
def houses() -> Iterator[str]:
    """The address of ALFWorld with generated houses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPALIER_ALFWORLD_GENERATED", "200")
        app = create()
    with served(app) as url:
        yield url


@pytest.fixture(scope="session")
def played(houses: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten houses that the expert solved, with plans, verdicts and steps."""
    out = tmp_path_factory.mktemp("played") / "runs.jsonl"
    asyncio.run(collect("alfworld", houses, SPLIT, out, print, limit=10, derived=6))
    return out


@pytest.fixture(scope="session")
def trajectories(played: Path) -> list[Record]:
    """The runs among them."""
    return [record for record in read_records(played) if record.kind == "trajectory"]


@pytest.fixture
def construct() -> Construct:
    """Types `espalier construct …`."""

    def typed(*words: object, keys: str | None = None) -> Result:
        return CliRunner().invoke(commands.app, [str(word) for word in words], input=keys)

    return typed


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers whose tokens are bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*alphabet, "<|im_start|>", "<|im_end|>"])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = CHAT
    folder = tmp_path_factory.mktemp("models") / "Tiny"
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(base))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "agent.jsonl"
    append_records(path, [trajectory(number) for number in range(6)])
    return path


@pytest.fixture
def alpaca(tmp_path: Path) -> Path:
    path = tmp_path / "general.json"
    items = [{"instruction": f"Say {n}.", "input": "", "output": f"It is {n}."} for n in range(6)]
    path.write_text(json.dumps(items))
    return path
