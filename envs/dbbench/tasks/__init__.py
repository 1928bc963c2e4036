"""The database tasks: AgentBench's records, and questions generated from a seed."""
