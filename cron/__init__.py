"""WHEN. Cron expressions, intervals, calendars and zones: pure rules, from text to instants."""
