"""TextWorld, the engine of the `alfworld` package, in worker processes."""
