"""The OS tasks: AgentBench's records, and tasks generated from a seed."""
