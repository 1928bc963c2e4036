"""Episodes, their logs and epochs in Redis, and what is folded from a log."""
