"""Data construction: experts, role play, examples in context; filters; records."""
