"""Where the modules of an app are imported from."""

from __future__ import annotations

import os
import sys

PACKAGES = ("site-packages", "dist-packages")
"""Names of the directories that packages are installed into."""


def import_from(directory: str) -> None:
    """Have modules found in a directory: before all others, unless it holds the packages of another
    interpreter, as for a twin that is served by the user's own. This one has its own of what an app needs."""
    own = {os.path.realpath(place) for place in sys.path}
    if os.path.basename(directory) in PACKAGES and os.path.realpath(directory) not in own:
        sys.path.append(directory)
    else:
        sys.path.insert(0, directory)
