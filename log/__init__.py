"""WHO HEARS OF IT. Events, where they go, and a log for applications that have none."""
