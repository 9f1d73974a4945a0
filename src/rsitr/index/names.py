"""What lies in the folder of an index, by name."""

__all__ = ["CACHE", "CODE_FILE", "IMPORTS", "JOURNAL", "LOCK", "NEAREST", "NOTES", "TABLE_FOLDERS"]

CACHE = ".cache"
"""What can be made again of the rest."""
CODE_FILE = "local-code.safetensors"
"""What makes the codes of the tiles."""
IMPORTS = "embeddings.json"
"""The files of embeddings that are in it."""
JOURNAL = ".journal"
"""What has been encoded and is not yet in the tables."""
LOCK = ".lock"
NEAREST = "nearest.json"
"""How well the nearest are found in what does not fit into memory."""
NOTES = "scene-notes.jsonl"
"""What is remembered of scenes beside the table of them."""
TABLE_FOLDERS = ("tiles.lance", "scenes.lance")
