"""The names of requests: grouped where they are many. Imported by the load generator and by `measure`."""
