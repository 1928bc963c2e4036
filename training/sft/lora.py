"""LoRA on every linear layer, and the trainer that computes logits only where there is loss."""

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM
from transformers.trainer_callback import TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from espalier.stack.processor import has_fast_bf16
from training.sft.examples import IGNORED, Example

NEAR = 1024
"""So many sequences are sorted by length together."""


@dataclass(frozen=True)
class Hyper:
    """How an adapter is learned."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    learning_rate: float = 1e-3
    batch: int = 4096
    """Tokens in a forward pass, padding included."""
    accumulate: int = 2
    """Forward passes to a step."""
    warmup: float = 0.03
    """The share of steps until the learning rate is reached; then it falls to 0 in a line."""
    save_steps: int = 50
    seed: int = 0
    recompute: bool = False
    """Activations are computed again on the way back: much less memory, a third slower."""
    quantise: bool = False
    """QLoRA: the base in 4 bits; needs a GPU and bitsandbytes."""
    compiled: bool = False
    """The layers are compiled first: a minute's wait, then half to three quarters faster on a GPU."""
    verdict_weight: float = 1.0
    """How much a token of a judge's answer counts. A verdict is one token, an action ten times as many, so
    that at 1 verdicts are hardly heard where actions are learned too."""


class SparseLossTrainer(SFTTrainer):
    """SFT whose logits are computed on labelled tokens alone.

    In a dialogue three tokens of four are the environment's; with a vocabulary of 49,152 their logits would
    be a fifth of the work. Padding stands on the right, where causal attention needs no mask.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Cross entropy over labelled tokens by weight, divided by how many there are in the whole step."""
        losses, logits, wanted = self._token_losses(model, inputs)
        weights = inputs["weights"][:, None].expand_as(wanted)[wanted]
        count = wanted.sum() if num_items_in_batch is None else num_items_in_batch
        loss = (losses * weights).sum() / count
        return (loss, {"logits": logits}) if return_outputs else loss

    def measure_loss(self, dataset: Dataset) -> float:
        """Return the loss a token on other data, without gradients; every token counts once.

        Learning goes on as if it had not been called: no random number is drawn.

        Args:
            dataset: Batches, as `rows` makes them.
        """
        model: Any = self.model
        learns = model.training
        total, count = 0.0, 0
        model.eval()
        try:
            with torch.no_grad(), self.compute_loss_context_manager():
                for index in range(len(dataset)):
                    inputs: dict[str, Any] = self._prepare_inputs(self.data_collator([dataset[index]]))
                    losses, _, _ = self._token_losses(model, inputs)
                    total += losses.double().sum().item()
                    count += losses.numel()
        finally:
            model.train(learns)
        return total / count

    def _token_losses(
        self, model: Any, inputs: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The loss and the logits of each labelled token, and where these are (sequences, longest - 1)."""
        labels = inputs["labels"][:, 1:]
        base = self.accelerator.unwrap_model(model)
        inner = base.get_base_model() if hasattr(base, "get_base_model") else base
        hidden = inner.model(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state[:, :-1]
        wanted = labels != IGNORED
        logits = inner.lm_head(hidden[wanted]).float()
        return cross_entropy(logits, labels[wanted], reduction="none"), logits, wanted


def best_dtype() -> torch.dtype:
    """Return bf16 on GPUs and on processors that multiply it faster than fp32, else fp32."""
    if torch.cuda.is_available():
        return torch.bfloat16
    return torch.bfloat16 if has_fast_bf16() else torch.float32


def trainer(
    base: Path | str,
    tokenizer: Any,
    examples: list[Example],
    out: Path,
    hyper: Hyper,
    callbacks: list[TrainerCallback],
    start: Path | None = None,
) -> SparseLossTrainer:
    """A trainer that is ready to go.

    Args:
        base: The base model: a folder, or a name on a hub.
        tokenizer: Its tokenizer.
        examples: What to learn from, once through.
        out: Where checkpoints go.
        hyper: How.
        callbacks: Called with the progress.
        start: An adapter of the same base and rank to go on from; by default a new one is begun.
    """
    dtype = best_dtype()
    loading: dict[str, Any] = {"dtype": dtype, "attn_implementation": "sdpa"}
    if hyper.quantise:
        from transformers import BitsAndBytesConfig

        loading["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    model = AutoModelForCausalLM.from_pretrained(str(base), **loading)
    if start is not None:
        model = PeftModel.from_pretrained(model, str(start), is_trainable=True)
    dataset = rows(batches(examples, hyper.batch, hyper.seed), hyper.verdict_weight)
    arguments = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=hyper.accumulate,
        num_train_epochs=1,
        learning_rate=hyper.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=hyper.warmup,
        weight_decay=0.0,
        bf16=dtype is torch.bfloat16 and torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        seed=hyper.seed,
        data_seed=hyper.seed,
        save_steps=hyper.save_steps,
        save_total_limit=2,
        logging_steps=5,
        max_length=None,
        report_to=[],
        disable_tqdm=True,
        gradient_checkpointing=hyper.recompute,
        dataset_num_proc=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )
    begun = LoraConfig(
        r=hyper.rank,
        lora_alpha=hyper.alpha,
        lora_dropout=hyper.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    made = SparseLossTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=begun if start is None else None,
        data_collator=Collator(tokenizer.pad_token_id or tokenizer.eos_token_id),
        callbacks=callbacks,
    )
    if hyper.compiled:
        compile_layers(made.model)
    return made


def compile_layers(model: Any, backend: str = "inductor") -> None:
    """Compile each layer by itself, for batches of any shape; they share code, so the first pays for all.

    Args:
        model: A causal model of transformers with LoRA on it.
        backend: Torch's compiler.
    """
    for layer in model.get_base_model().model.layers:
        layer.compile(dynamic=True, backend=backend)


def batches(examples: Sequence[Example], tokens: int, seed: int) -> list[list[Example]]:
    """Sequences of like length together, each batch of at most so many tokens with its padding.

    Only sequences that were drawn near each other come together, so that the mix stays as it was drawn.

    Args:
        examples: The sequences, in the order in which they were drawn.
        tokens: A longer sequence is a batch of its own.
        seed: The order of the batches.
    """
    made: list[list[Example]] = []
    for start in range(0, len(examples), NEAR):
        batch: list[Example] = []
        for example in sorted(examples[start : start + NEAR], key=lambda item: len(item.input_ids)):
            if batch and (len(batch) + 1) * len(example.input_ids) > tokens:
                made.append(batch)
                batch = []
            batch.append(example)
        made.append(batch)
    random.Random(f"batches/{seed}").shuffle(made)  # noqa: S311
    return made


def rows(made: Sequence[Sequence[Example]], verdict_weight: float) -> Dataset:
    """Batches as a data set: a row each, its sequences one after another, their lengths and weights."""

    def joined(lists: Iterable[list[int]]) -> np.ndarray:
        return np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int32)

    columns = {
        "input_ids": [joined(item.input_ids for item in batch) for batch in made],
        "labels": [joined(item.labels for item in batch) for batch in made],
        "lengths": [np.array([len(item.input_ids) for item in batch]) for batch in made],
        "weights": [
            np.array([verdict_weight if item.verdict else 1.0 for item in batch], dtype=np.float32)
            for batch in made
        ],
    }
    return Dataset.from_dict(columns).with_format("numpy")


class Collator:
    """Pads the sequences of a batch on the right to the longest.

    Args:
        pad: The id of the token that pads.
    """

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch, the one row that there is: ids, labels, mask (sequences, longest) and weights."""
        (row,) = rows
        lengths = np.asarray(row["lengths"])
        there = np.arange(lengths.max()) < lengths[:, None]

        def padded(flat: Any, fill: int) -> torch.Tensor:
            made = np.full(there.shape, fill, dtype=np.int64)
            made[there] = flat
            return torch.from_numpy(made)

        return {
            "input_ids": padded(row["input_ids"], self._pad),
            "labels": padded(row["labels"], IGNORED),
            "attention_mask": torch.from_numpy(there.astype(np.int64)),
            "weights": torch.from_numpy(np.asarray(row["weights"], dtype=np.float32)),
        }
