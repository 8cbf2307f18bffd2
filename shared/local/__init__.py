"""The cloud on a laptop: never shipped to the cloud."""
