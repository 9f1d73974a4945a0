"""What is taken where nobody says otherwise, in more than one room."""

__all__ = ["DEFAULT_MODEL"]

DEFAULT_MODEL = "lookout"
"""What encodes pictures and words."""
