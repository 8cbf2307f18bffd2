"""Benchmarks: each prints ratios against a baseline in the same run, and is run as a module."""
