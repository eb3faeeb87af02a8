"""How long users pause between requests: a load whose users pause has a throughput that they set. Imported by
`loadtests.load`."""
