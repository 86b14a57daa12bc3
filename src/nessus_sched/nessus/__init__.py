"""All that is known of the Nessus REST API."""
