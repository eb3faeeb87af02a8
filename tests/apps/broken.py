"""An app that dies while it is imported."""

import a_package_that_nobody_has  # type: ignore[import-not-found]  # that is the point

app = a_package_that_nobody_has.App()
