"""The planner: splits a task into k subtasks (paper, section 3.3)."""
