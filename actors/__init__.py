"""WHO ACTS: JobBroker, HandlerActor, SchedulerActor, and the base they share. No actor module imports another."""
