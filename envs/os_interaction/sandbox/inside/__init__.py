"""What runs inside a sandbox as its process 1. Only the standard library, and nothing else of ours."""
