"""A service behind a log-in, as in FastAPI's tutorial, that publishes its document below a prefix."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm

app = FastAPI(openapi_url="/v1/openapi.json")
token = OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "Read notes"})
ISSUED = f"token-of-{os.getpid()}"
"""Of this process: a token of another server is worth nothing, as after a restart with a new key."""


def reader(given: Annotated[str, Depends(token)]) -> str:
    if given != ISSUED:
        raise HTTPException(401, "this token is not ours")
    return "ada"


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.post("/v1/token")
async def log_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    if (form.username, form.password, form.scopes) != ("ada", "lovelace", ["read"]):
        raise HTTPException(400, "wrong name or password")
    return {"access_token": ISSUED, "token_type": "bearer"}


@app.get("/notes")
async def read_notes(name: Annotated[str, Depends(reader)]) -> list[str]:
    return [f"a note of {name}"]


@app.post("/notes")
async def add_note(text: str, name: Annotated[str, Depends(reader)]) -> str:
    return text
