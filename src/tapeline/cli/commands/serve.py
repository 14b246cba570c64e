"""``tapeline serve``."""

from __future__ import annotations

import click

from tapeline.cli.invocation import Command, Invocation


@click.command(cls=Command)
@click.option("--host", help="Where to listen (or TAPELINE_HOST; default 127.0.0.1); elsewhere needs TAPELINE_TOKEN.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (or TAPELINE_PORT; default 8787); 0: any free one.")
@click.pass_obj
def command(invocation: Invocation, host: str | None, port: int | None) -> int:
    """Serve the API and the page over a stored database.

    Nothing is live and nothing is changed: `tapeline up` does that.
    """
    import asyncio
    import gc
    import signal

    from tapeline.api.app import create_app
    from tapeline.api.server import listen, serving
    from tapeline.config import load_settings
    from tapeline.hub import Hub

    settings = load_settings(db=invocation.db, host=host, port=port)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with invocation.store(through=False) as store:
            app = create_app(store.reader, Hub(), None, settings)
            async with serving(app, listen(settings.host, settings.port)) as address:
                gc.freeze()  # what a start has made stays: looking through it again would stop all else for long
                click.echo(f"{address} (stop with Ctrl-C)")
                await stop.wait()
                gc.unfreeze()

    asyncio.run(serve())
    return 0
