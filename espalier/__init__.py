"""What a user types and imports."""
