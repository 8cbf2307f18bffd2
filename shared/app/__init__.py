"""The use cases: one file each, driven through ports."""
