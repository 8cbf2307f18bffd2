"""The escrow contract of the laptop: its source, its compiled artefact, and how to call it."""
