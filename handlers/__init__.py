"""WHAT RUNS A JOB. A lane is one run of one job: on a thread, as an asyncio task, or in a child process."""
