"""Driving one scanner: its connection, and the tasks that it runs, step by step."""
