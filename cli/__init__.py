"""THE COMMAND. `lamplighter run` works; `trace` and `audit` say what a log says, for people and for other programs."""
