"""The actor: proposes candidates for the next action, with a LoRA adapter by name."""
