"""Tuning: agent data, the mix with general data, LoRA adapters."""
