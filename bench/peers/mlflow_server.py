"""``mlflow models serve`` of the model that bench/peers/api_server.py serves, over the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def save(folder: Path, content: str) -> None:
    """Save a model of Tapeline as one of MLflow."""
    from mlflow.pyfunc import save_model
    from mlflow.pyfunc.model import PythonModel

    class Wrapped(PythonModel):
        def load_context(self, context: object) -> None:
            from tapeline.models.base import model_class

            self.model = model_class("logistic", "direction").load(content.encode())

        def predict(self, context: object, model_input: object, params: object = None) -> object:
            import numpy as np

            return self.model.predict(np.asarray(model_input, np.float64))

    save_model(str(folder), python_model=Wrapped())


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Serve it, with one worker; MLflow looks for uvicorn on the path."""
    program = Path(sys.executable).with_name("mlflow")
    env = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(program), "models", "serve", "-m", str(folder), "-p", str(port), "--env-manager", "local", "-w", "1"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True, env=env)
