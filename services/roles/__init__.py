"""What planner, judge and actor share: the model behind a prompt profile, and the app of a role."""
