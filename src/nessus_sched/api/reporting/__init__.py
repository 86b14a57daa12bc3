"""Reports for people: what they are asked about, and how they are made."""
