"""A Django app of views that ask a database, read by `duel advise` and never served."""

import time
from typing import Any

import django  # type: ignore[import-untyped]  # it ships no types
from django.conf import settings  # type: ignore[import-untyped]  # as above

settings.configure(
    SECRET_KEY="of no app that is served",  # noqa: S106  # and no secret
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
)
django.setup()

# Models can be imported once an app is set up.
from django.contrib.auth.models import User  # type: ignore[import-untyped]  # noqa: E402  # as above
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # noqa: E402  # as above
from django.db import connection  # type: ignore[import-untyped]  # noqa: E402  # as above
from django.http import JsonResponse  # type: ignore[import-untyped]  # noqa: E402  # as above
from django.shortcuts import get_object_or_404  # type: ignore[import-untyped]  # noqa: E402  # as above
from django.urls import path  # type: ignore[import-untyped]  # noqa: E402  # as above

Request = Any


def plain(_: Request) -> JsonResponse:
    return JsonResponse({})


def counts(_: Request) -> JsonResponse:
    return JsonResponse({"users": User.objects.count()})  # asks


def lists(_: Request) -> JsonResponse:
    active = User.objects.filter(is_active=True).order_by("id")
    return JsonResponse({"names": [user.username for user in active]})  # asks


def finds(_: Request) -> JsonResponse:
    return JsonResponse({"name": get_object_or_404(User, pk=1).username})  # asks


def saves(_: Request) -> JsonResponse:
    user = User(username="ada")
    user.save()  # asks
    return JsonResponse({})


def by_hand(_: Request) -> JsonResponse:
    with connection.cursor() as cursor:  # asks
        cursor.execute("SELECT 1")
    return JsonResponse({})


async def asks_on_the_loop(_: Request) -> JsonResponse:
    return JsonResponse({"users": User.objects.exclude(pk=1).count()})  # blocks


async def iterates_on_the_loop(_: Request) -> JsonResponse:
    return JsonResponse({"names": list(User.objects.values_list("username"))})  # blocks


async def sleeps_on_the_loop(_: Request) -> JsonResponse:
    time.sleep(0.01)  # blocks
    return JsonResponse({})


async def awaits(_: Request) -> JsonResponse:
    names = [user.username async for user in User.objects.filter(is_active=True)]
    return JsonResponse({"users": await User.objects.acount(), "names": names})


urlpatterns = [
    path(view.__name__, view)
    for view in (
        plain, counts, lists, finds, saves, by_hand,
        asks_on_the_loop, iterates_on_the_loop, sleeps_on_the_loop, awaits,
    )
]  # fmt: skip

app = get_asgi_application()
