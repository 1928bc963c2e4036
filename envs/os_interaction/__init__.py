"""A bash session in a sandbox of its own (AgentBench OS)."""
