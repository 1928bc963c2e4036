"""Faults on the real processes of the stack, and checks that nothing is lost, doubled or left."""
