"""Working twins of what the services depend on: they behave, and they are told how."""
