"""Measured side by side with peers, as ratios."""
