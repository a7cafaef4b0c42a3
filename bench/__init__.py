"""Benchmarks: `python -m bench` for the table and picture, `pytest bench` for detail.

`cases.py`, `ordinary.py` and `peers.py` hold one list each; everything else walks over
them.
"""
