"""The orchestrator: episodes over REST, their log in Redis, the search, the workers."""
