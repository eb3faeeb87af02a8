"""For Locust itself: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`, web UI included.

Offers the three mixes; name one on the command line (`… Mixed`) to run it alone. The scenarios of
single endpoints are in scenarios.py, which is a locustfile too.
"""

from loadtests.load.scenarios import CpuBound, IoBound, Mixed

__all__ = ["CpuBound", "IoBound", "Mixed"]
