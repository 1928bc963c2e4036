"""AgentBench's database tasks: questions about a table, answered with SQL."""
