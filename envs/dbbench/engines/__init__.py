"""The engines that run SQL: SQLite in worker processes, or a MySQL server."""
