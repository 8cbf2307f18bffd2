"""A function of its own: its archive holds this folder's main.py and the parts of shared that it needs."""
