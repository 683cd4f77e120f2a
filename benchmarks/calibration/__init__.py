"""Simulated experiments: do the report's intervals and verdicts keep what they promise? `make calibrate`"""
