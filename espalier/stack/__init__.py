"""The parts as processes on one machine: the embedded model, state, and the supervisor."""
