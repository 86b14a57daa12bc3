"""Evidence packs: what an auditor gets about a period, in one file that can be checked."""
