"""MySQL's meaning on SQLite: statements are translated, and its functions are registered with SQLite."""
