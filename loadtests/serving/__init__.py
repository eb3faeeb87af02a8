"""An arm's server and its environment: data, databases, the slow service, hooks, the base's checkout.
May be imported by `measure` and `cli`; what is in `inside` runs in other processes and is never imported."""
