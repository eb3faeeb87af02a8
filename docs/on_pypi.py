"""README.md as PyPI shows it: away from the repository, its links and pictures need whole addresses.

The build imports this file by its path (`tool.hatch.metadata.hooks.custom` in pyproject.toml).
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")
PICTURE = re.compile(r'\b(src|srcset)="(?!https?:)([^"]+)"')


class ReadmeOnPypi(MetadataHookInterface):
    """Sets `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source, version = metadata["urls"]["Source"], metadata["version"]
        text = LINK.sub(rf"]({source}/blob/v{version}/\1)", text)
        text = PICTURE.sub(rf'\1="{source}/raw/v{version}/\2"', text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
