"""Durable execution: port calls recorded and replayed, branches, sessions, budgets."""
