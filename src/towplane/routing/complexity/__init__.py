"""Strong or weak: a score of each request, and the narrowing that follows from it."""
