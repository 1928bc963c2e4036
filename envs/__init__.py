"""The environments, one folder each, and the session server under all."""
