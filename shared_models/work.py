"""The CPU-bound functions: pure, deterministic, and the same under both styles.

Two kinds, because they favour different styles: work that holds the GIL, where threads only take
turns, and work that releases it, where a thread pool can use a second core.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from functools import cache
from io import BytesIO
from zlib import crc32

from PIL import Image

PYTHON_ITERATIONS = 20_000
HASH_ITERATIONS = 8_000
CRUNCH_ROWS = 20_000
IMAGE_WIDTH = 160


def python(iterations: int) -> int:
    """Steps of a linear congruential generator in plain bytecode. Holds the GIL throughout."""
    state = 1
    for _ in range(iterations):
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state


def hash(iterations: int) -> str:
    """A salted password hash (PBKDF2-HMAC-SHA256), as at a login. Releases the GIL."""
    return hashlib.pbkdf2_hmac("sha256", b"correct horse", b"battery staple", iterations).hex()


def crunch(rows: int) -> dict[str, float]:
    """Group rows and find the group with the largest mean, as a report endpoint does. Holds the GIL."""
    groups: defaultdict[int, list[float]] = defaultdict(list)
    for row in range(rows):
        groups[row * 7_919 % 23].append(row * 0.5 % 101)
    means = {key: sum(values) / len(values) for key, values in groups.items()}
    best = max(means, key=lambda key: (means[key], key))
    return {"groups": len(groups), "best": best, "mean": round(means[best], 6)}


@cache
def photograph() -> bytes:
    """A JPEG of 640 x 480 pixels, drawn once per process."""
    picture = Image.radial_gradient("L").resize((640, 480))
    drawn = BytesIO()
    Image.merge("RGB", (picture, picture.rotate(90), picture.rotate(180))).save(drawn, "JPEG")
    return drawn.getvalue()


def image(width: int) -> bytes:
    """A PNG thumbnail of the photograph, `width` pixels wide. Pillow releases the GIL."""
    with Image.open(BytesIO(photograph())) as picture:
        picture.thumbnail((width, width))
        drawn = BytesIO()
        picture.save(drawn, "PNG", compress_level=1)
    return drawn.getvalue()


LOCALES = ("en", "de", "fr", "ja")

CHUNKS, CHUNK = 64, 1024
"""Of a stream: how many, and the bytes of each."""

LINES = 200


def locale(language: str) -> str:
    """The first language of an Accept-Language header that the shop speaks. Holds the GIL, for a moment."""
    wanted = [part.partition(";")[0].strip()[:2].lower() for part in language.split(",")]
    return next((one for one in wanted if one in LOCALES), LOCALES[0])


def currency(locale: str) -> str:
    """What prices are shown in."""
    return {"en": "GBP", "ja": "JPY"}.get(locale, "EUR")


def features(locale: str) -> frozenset[str]:
    """What is switched on for a language."""
    return frozenset({"search", "wishlist" if locale == "en" else "reviews"})


def shop(currency: str, features: frozenset[str]) -> str:
    """A shop in a few words."""
    return f"{currency}: {', '.join(sorted(features))}"


def chunk(number: int) -> bytes:
    """One part of a stream."""
    return f"{number:04d} ".encode().ljust(CHUNK, b".")


@cache
def document() -> bytes:
    """A table of 200 lines, written once per process."""
    return b"".join(f"{number},{number * 7919 % 1000},{'x' * 60}\n".encode() for number in range(LINES))


def checksum(content: bytes) -> str:
    """Length and CRC of an upload."""
    return f"{len(content)} {crc32(content):08x}"


def reply(message: str) -> str:
    """What is said to a message."""
    return f"You asked: {message}"


def receipt(user_id: int, post_id: int, payment: str) -> str:
    """The receipt of a checkout: a digest of what was bought and how it was paid."""
    digest = f"{user_id}:{post_id}:{payment}".encode()
    for _ in range(200):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()
