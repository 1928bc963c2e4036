"""The native engine: ALFWorld's games in this process, without the `alfworld` package."""
