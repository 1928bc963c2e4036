"""ALFWorld: household tasks in text, on a native engine, or on the `alfworld` package's own."""
