"""The judge: is the subtask done, which candidate, is the path good enough (paper, section 3.3)."""
