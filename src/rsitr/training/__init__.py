"""Training: rows, similarity bank, recipes, one loop with exact resume."""
