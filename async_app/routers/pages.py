"""The blog as HTML pages, including its error pages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from async_app.database import Reading
from shared_models import queries
from shared_models.errors import found, templates
from shared_models.schemas import PathId
from shared_models.tables import User

router = APIRouter(prefix="/pages", tags=["pages"], default_response_class=HTMLResponse)


@router.get("")
async def home_page(request: Request, sessions: Reading) -> Response:
    """The front page: the ten newest posts, rendered. Rendering is CPU work, on the event loop in the async
    app: expect a tie, and other requests to wait."""
    async with sessions() as session:
        rows = await session.scalars(queries.posts(limit=10, offset=0))
        posts = rows.all()
    return templates.TemplateResponse(request, "home.html", {"posts": posts})


@router.get("/posts/{post_id}")
async def post_page(request: Request, post_id: PathId, sessions: Reading) -> Response:
    """One post as a page, as visitors from a search engine request it. Expect the same as for `posts.read`,
    plus the time to render: sync ahead on SQLite."""
    async with sessions() as session:
        post = await session.scalar(queries.post(post_id))
    return templates.TemplateResponse(request, "post.html", {"post": found(post, "Post")})


@router.get("/users/{user_id}")
async def user_page(request: Request, user_id: PathId, sessions: Reading) -> Response:
    """An author's page with the ten newest posts: two queries and a template. Expect a tie."""
    async with sessions() as session:
        user = found(await session.get(User, user_id), "User")
        rows = await session.scalars(queries.posts_of(user_id, limit=10, offset=0))
        posts = rows.all()
    return templates.TemplateResponse(request, "user.html", {"user": user, "posts": posts})
