"""The scene of the demonstration: a layout of districts, what stands in them, and how it looks from above."""
