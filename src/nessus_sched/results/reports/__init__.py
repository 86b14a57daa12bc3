"""Reports for people: what they say, and the pages that say it."""
