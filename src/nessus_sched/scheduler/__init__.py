"""The life of a task: drivers, dispatch, recovery, over a scanner protocol and a store."""
