"""What an arm's server uses beside its database: a Redis server of our own or one that was given, its
databases, and the workers of its queue. Imported by the rest of `serving`, and by `measure`."""
