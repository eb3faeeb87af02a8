"""Whether the advice of a run holds: the table of routes that its cards make, and what an app that follows it
shows beside the arms."""
