"""The scripted engine: speaks vLLM's HTTP and answers by a script."""
