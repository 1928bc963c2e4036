"""Mind2Web: which element of a web page comes next, and what to do with it."""
