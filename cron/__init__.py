"""WHEN. Pure rules, from text to instants.

`when.py` reads what an application gives, into a rule: `rule.py` for cron expressions, on the days and times of
`calendar.py` and the offsets of `zones.py`; `interval.py` for intervals and single datetimes. `schedule.py` has what
follows from a schedule alone, `catch_up.py` what becomes of its slots.
"""
