"""The calendar: recurring times, schedules, windows and blackouts. Pure; time is an argument."""
