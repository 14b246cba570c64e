"""Tell MLflow, where the settings name one, what was registered."""

from __future__ import annotations

from tapeline.cli.invocation import Invocation
from tapeline.errors import InputError, MissingDependency, StoreError


def mirror(invocation: Invocation) -> None:
    """Send what an MLflow server does not have yet; one that is away is told of, and is sent it the next time."""
    from tapeline.mlflow_sync import Mlflow

    settings = invocation.settings
    if not settings.mlflow_uri:
        return
    try:
        server = Mlflow(settings.mlflow_uri, runs=settings.runs)
        with invocation.store() as store:
            sent = server.sync(store)
    except (StoreError, InputError, MissingDependency) as error:
        invocation.note(f"not sent to MLflow: {error}")
    else:
        invocation.note(f"{sent.models} models sent to MLflow, {sent.aliases} aliases moved")
