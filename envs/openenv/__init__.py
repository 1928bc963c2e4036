"""Any OpenEnv server as an environment of this stack."""
