"""Tasks over tables of Wikipedia: their rows from WikiTableQuestions, their questions from WikiSQL."""
