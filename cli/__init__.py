"""THE COMMAND. `lamplighter trace` and `lamplighter audit`: what a log says, for people and for other programs."""
