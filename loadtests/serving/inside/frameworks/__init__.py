"""Which functions of an app a framework calls, and where each runs: on the event loop or in a thread.

Runs in the app's own process, loaded by path from describe_app.py and serve.py; imports nothing of ours but
itself.
"""

from . import routes as routes
from .sessions import pools as pools
from .survey import describe as describe
