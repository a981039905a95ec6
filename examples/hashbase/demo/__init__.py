"""`make demo`: Hashbase's three jobs, with an actor crashed and the process killed in the middle of them.

__main__.py   the story, and the exit status
host.py       the host, in a process of its own that is made to be killed
life.py       one life of that process, seen from outside: orders go in, log lines come out
audit.py      what the log alone says: biographies, and whether anything was lost
fates.py      what became of every user, archive and job, against what must have
view.py       how it looks in a terminal
"""
