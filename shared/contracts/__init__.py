"""The registry of contracts."""
