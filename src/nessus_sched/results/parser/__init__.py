"""The streaming `.nessus` parser."""
