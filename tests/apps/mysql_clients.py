"""Coroutines that use MySQL's drivers directly. Read, never called."""

from __future__ import annotations

import aiomysql
import asyncmy
import pymysql


async def blocks() -> object:
    with pymysql.connect(host="127.0.0.1") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.commit()
        return cursor.fetchone()


async def waits_in_aiomysql() -> object:
    async with aiomysql.create_pool() as pool, pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 1")
        return await cursor.fetchone()


async def waits_in_asyncmy() -> object:
    connection = await asyncmy.connect(host="127.0.0.1")
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT 1")
        return await cursor.fetchone()
