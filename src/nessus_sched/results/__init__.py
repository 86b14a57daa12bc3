"""The `.nessus` parser, findings, filters, profiles and verdicts."""
