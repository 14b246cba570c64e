"""The application: all routes over one store, one hub and, where there is one, the live process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from tapeline import __version__
from tapeline.api import health, inference, market, owned, pages, runs, stream, v1, writes
from tapeline.api.answers import openapi
from tapeline.api.candle_pages import CandlePages
from tapeline.api.champions import Champions
from tapeline.api.context import Context, Live
from tapeline.api.direct import Direct
from tapeline.api.inference import Inference
from tapeline.api.metrics import Metrics
from tapeline.api.problems import install
from tapeline.api.security import Forbidden, Guard, Rules, check_binding, forbidden
from tapeline.clock import Clock, SystemClock
from tapeline.config import Settings
from tapeline.hub import Hub
from tapeline.stores._duckdb_reader import Reader

_ABOUT = (
    "Candles, features, models and predictions of live trade tapes. Times are RFC 3339, rows come in order of time, "
    "start is included and end is not, limit takes the newest, and next of an answer is the cursor of the page before. "
    "Errors are RFC 9457 problem documents. Streams: WebSocket /v1/stream and /ws/predictions."
)
_ROUTERS = (
    inference.router,
    stream.router,
    owned.router,
    writes.router,
    v1.router,
    runs.router,
    market.router,
    health.router,
)
"""In the order in which they are tried: what is asked most often first."""


def create_app(
    store_reader: Callable[[], Reader],
    hub: Hub,
    live: Live | None,
    settings: Settings,
    *,
    clock: Clock | None = None,
    owner_key: str = "",
) -> FastAPI:
    """Make the application.

    Args:
        store_reader: gives a reader of the store for the calling thread, such as `DuckDBStore.reader`.
        hub: what is newest, published to in the loop that runs the application.
        live: the running process; None over a stored database.
        settings: host, token, cors, sql.
        clock: tells the time.
        owner_key: what commands beside the database show to read it through this process.

    Raises:
        UsageError: the host is not loopback, and no token is set.
    """
    check_binding(settings)
    app = FastAPI(
        title="Tapeline",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    rules = Rules(settings)
    _equip(app, Context(store_reader, hub, live, settings, clock or SystemClock(), owner_key), rules)
    for router in _ROUTERS:
        app.include_router(router)
    pages.mount(app)
    install(app)
    app.add_exception_handler(Forbidden, forbidden)
    _protect(app, settings, rules)
    app.openapi = partial(openapi, app)  # type: ignore[method-assign]
    return app


def _equip(app: FastAPI, shared: Context, rules: Rules) -> None:
    """Put into an application what its routes work with."""
    champions, metrics = Champions(shared), Metrics(shared)
    answering = Inference(shared, champions, metrics)
    app.state.context, app.state.champions, app.state.metrics = shared, champions, metrics
    app.state.candle_pages, app.state.inference = CandlePages(shared), answering
    app.state.direct = Direct(rules, answering.routes, cors=bool(shared.settings.cors))


def _protect(app: FastAPI, settings: Settings, rules: Rules) -> None:
    """Check every request before its route: the outermost is added last."""
    if settings.cors:
        headers = ["Authorization", "Content-Type", "Last-Event-ID", "If-None-Match"]
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors, allow_methods=["GET", "POST"], allow_headers=headers
        )
    app.add_middleware(Guard, rules=rules)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    shared: Context = app.state.context
    shared.hub.close()
    shared.pool.shutdown(wait=False, cancel_futures=True)
