"""The messages on the wire, one module a noun: Pydantic models and nothing else."""
