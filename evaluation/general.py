"""What an adapter leaves of general ability: `python -m evaluation.general ADAPTER --held-out FILE ...`.

The loss on general instructions that were never learned, base and tuned, and both answers to some questions
side by side. Needs `make setup-train`. Writes `general.json` and `answers.md`.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from espalier.adapter_folder import read_card
from evaluation.intervals import bootstrap
from services.prompting.renderer import Chat
from training.sft.examples import IGNORED, Example, Tokens, general

LONGEST = 2048


class General(BaseModel):
    """Losses on held-out instructions: the mean over them of each answer's loss a token, nats."""

    adapter: str
    n: int
    base: float
    tuned: float
    difference: float
    """Tuned less base; below 0: the tuned one is better."""
    ci95: tuple[float, float]
    """Of the difference, by bootstrap over instructions."""


def held_out(path: Path, last: int, tokenizer: Any) -> list[Example]:
    """The last so many instructions of a file, as sequences; all of them where `last` is 0."""
    tokens = Tokens(tokenizer, LONGEST)
    chats = list(general([path], 0))[-last:]
    return [made for made in map(tokens.example, chats) if made is not None]


def loss(model: Any, example: Example) -> float:
    """The mean loss of an answer's tokens, nats."""
    import torch

    ids, labels = torch.tensor([example.input_ids]), torch.tensor([example.labels])
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[:, :-1].float()
    wanted = labels[:, 1:]
    return torch.nn.functional.cross_entropy(logits[0], wanted[0], ignore_index=IGNORED).item()


def answer(model: Any, tokenizer: Any, question: str, most: int) -> str:
    """The greedy answer to a question, of at most so many tokens."""
    import torch

    chat: Chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        generated = model.generate(**prompt, max_new_tokens=most, do_sample=False)
    return tokenizer.decode(generated[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def compare(name: str, base: Sequence[float], tuned: Sequence[float]) -> General:
    """Both models' losses on the same instructions."""
    differences = [after - before for before, after in zip(base, tuned, strict=True)]
    interval = bootstrap(differences)
    if interval is None:
        raise ValueError("there is no instruction to compare on")
    n = len(differences)
    return General(
        adapter=name,
        n=n,
        base=sum(base) / n,
        tuned=sum(tuned) / n,
        difference=sum(differences) / n,
        ci95=interval,
    )


def _both(model: Any, generate: Callable[[], Any]) -> tuple[Any, Any]:
    """Return the base's answer and the tuned model's."""
    with model.disable_adapter():
        before = generate()
    return before, generate()


def main() -> None:
    """Compare the adapter that the command line names with its base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="the base model's folder")
    parser.add_argument("--held-out", type=Path, required=True, help="general instruction data")
    parser.add_argument("--last", type=int, default=99, help="so many of its last records; 0: all")
    parser.add_argument("--questions", type=Path, help="JSON lines with `turns`, as MT-Bench has them")
    parser.add_argument("--limit", type=int, default=20, help="so many questions, evenly over the file")
    parser.add_argument("--most", type=int, default=96, help="tokens of an answer")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    card = read_card(options.adapter)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(options.base))
    plain: Any = AutoModelForCausalLM.from_pretrained(str(options.base), dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(plain, str(options.adapter)).eval()
    pairs = [
        _both(model, lambda example=example: loss(model, example))
        for example in held_out(options.held_out, options.last, tokenizer)
    ]
    found = compare(card.name, [before for before, _ in pairs], [after for _, after in pairs])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "general.json").write_text(found.model_dump_json(indent=1) + "\n")
    print(found.model_dump_json(indent=1))
    if options.questions:
        lines = options.questions.read_text(encoding="utf-8").rstrip("\n").split("\n")
        questions = [json.loads(line) for line in lines[:: max(1, len(lines) // options.limit)]]
        parts = [f"# Answers of the base and of {card.name}, at most {options.most} tokens\n"]
        for number, question in enumerate(questions[: options.limit], 1):
            text = question["turns"][0]
            before, after = _both(model, lambda prompt=text: answer(model, tokenizer, prompt, options.most))
            about = f"{question.get('question_id', number)}, {question.get('category', 'general')}"
            quoted = text.replace("\n", "\n> ")
            parts.append(f"## {about}\n\n> {quoted}\n\n**Base:** {before}\n\n**Tuned:** {after}\n")
        (options.out / "answers.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
