"""ALFWorld: household tasks in text, on the `alfworld` package's own engine."""
