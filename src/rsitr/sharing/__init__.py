"""A trained model handed to others: its card, made of what is recorded, and the files that go to the hub."""

from rsitr.sharing.card import CardFile, Licence, make_card, write_card
from rsitr.sharing.push import Plan, Planned, plan_push, push_to_folder, push_to_hub

__all__ = [
    "CardFile",
    "Licence",
    "Plan",
    "Planned",
    "make_card",
    "plan_push",
    "push_to_folder",
    "push_to_hub",
    "write_card",
]
