"""The session protocol: one server for every environment."""
