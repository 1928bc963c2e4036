"""The matrix of runs: episodes by the hundred, summed up in tables."""
