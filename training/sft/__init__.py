"""Supervised fine-tuning: the mix (Eq. 1 of the paper), LoRA, adapters with cards."""
