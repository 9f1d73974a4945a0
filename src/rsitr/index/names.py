"""What lies in the folder of an index, by name."""

__all__ = [
    "CACHE",
    "CODE_FILE",
    "HOME",
    "IMPORTS",
    "JOURNAL",
    "LOCK",
    "MANIFEST",
    "NEAREST",
    "NOTES",
    "PUBLISHED",
    "TABLE_FOLDERS",
]

CACHE = ".cache"
"""What can be made again of the rest."""
CODE_FILE = "local-code.safetensors"
"""What makes the codes of the tiles."""
HOME = "rsitr-home.json"
"""Of what index elsewhere a folder is the home, and which states of its small files lie here."""
IMPORTS = "embeddings.json"
"""The files of embeddings that are in it."""
JOURNAL = ".journal"
"""What has been encoded and is not yet in the tables."""
LOCK = ".lock"
MANIFEST = "rsitr-index.json"
"""What it was made of and by."""
NEAREST = "nearest.json"
"""How well the nearest are found in what does not fit into memory."""
NOTES = "scene-notes.jsonl"
"""What is remembered of scenes beside the table of them."""
PUBLISHED = (CODE_FILE, IMPORTS, NEAREST, NOTES, MANIFEST)
"""What lies beside the tiles of an index that lies elsewhere, for all hosts that use it."""
TABLE_FOLDERS = ("tiles.lance", "scenes.lance")
