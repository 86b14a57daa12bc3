"""The settings of a scan that only the scheduler may choose."""

from __future__ import annotations

from typing import Final

RESERVED: Final = frozenset(
    {
        # What is scanned.
        *("text_targets", "file_targets", "target_groups", "tag_targets", "alt_targets"),
        *("target_network_uuid", "agent_group_id", "agent_scan_launch_type"),
        # When, and where.
        *("enabled", "launch", "launch_now", "starttime", "rrules", "timezone"),
        *("folder_id", "scanner_id", "scanner_uuid"),
        # As whose, and for whom.
        *("name", "description", "uuid", "policy_id", "tag_id", "acls", "owner", "owner_id"),
        *("permissions", "user_permissions", "shared"),
        *("emails", "sms", "filters", "filter_type", "attach_report", "live_results"),
    }
)
"""They would get past the scope, the queue or the ownership of a scan."""
