"""What kills, full disks and rights do to the stores that last: in processes of their own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores.recorded import synthetic

from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.parquet import ParquetStore

STORES = {"duckdb": DuckDBStore, "parquet": ParquetStore}
LASTING = pytest.mark.parametrize("name", sorted(STORES))

_PRELUDE = """
import importlib, os, resource, signal, sys
class WithoutPandas:  # pyarrow would spend a second on importing it
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "pandas":
            raise ImportError(name)
sys.meta_path.insert(0, WithoutPandas)
import pyarrow as pa
from tapeline.errors import StoreUnavailable
from tapeline.stores.base import KINDS
from tests.stores.recorded import synthetic
name, path = sys.argv[1:3]
stores = importlib.import_module(f"tapeline.stores.{name}")
open_store = lambda: getattr(stores, {"duckdb": "DuckDBStore", "parquet": "ParquetStore"}[name])(path)
"""

_WRITE = """
store = open_store()
whole = synthetic(100_000)
done = len(store.read("trades"))
while done < len(whole):
    with store.transaction():
        for start in range(done, done + 20, 5):
            store.append("trades", whole.slice(start, 5))
            print("writing", flush=True)
        done += 20
        state = {"instrument": "BTC-USD.SIM", "layout": str(done), "snapshot": os.urandom(20_000)}
        store.upsert("states", pa.Table.from_pylist([state], KINDS["states"].schema))
    print("done", flush=True)
"""

_FILL = """
store = open_store()
whole = synthetic(400_000)
store.append("trades", whole.slice(0, 10_000))
if len(sys.argv) > 3:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    for start in range(10_000, 400_000, 30_000):
        store.append("trades", whole.slice(start, 30_000))
except StoreUnavailable as error:
    print(error, len(store.read("trades")), flush=True)
"""

_OPEN_AS_NOBODY = """
with open_store() as store:
    store.append("trades", synthetic(10))
os.chmod(path if os.path.isdir(path) else os.path.dirname(path), 0o555)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    open_store().append("trades", synthetic(20))
except StoreUnavailable as error:
    print(error, flush=True)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that any user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def _command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", _PRELUDE + script, *map(str, arguments)]


@LASTING
def test_kill_at_any_moment_leaves_whole_transactions(name: str, tmp_path: Path, root: Path) -> None:
    path = tmp_path / "db"
    moments = random.Random(7)
    reached = 0
    for _ in range(10 if name == "duckdb" else 5):
        with subprocess.Popen(_command(_WRITE, name, path), cwd=root, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(moments.randint(1, 25)):
                assert writer.stdout.readline()
            os.kill(writer.pid, signal.SIGKILL)
        with STORES[name](path) as store:
            ids = store.read("trades")["trade_id"].to_pylist()
            states = store.read("states")["layout"].to_pylist()
            assert ids == list(range(len(ids)))
            assert states == ([str(len(ids))] if ids else [])
            assert len(ids) % 20 == 0
            assert len(ids) >= reached
            reached = len(ids)
    assert reached > 0


@LASTING
def test_a_full_disk_keeps_what_was_committed(name: str, tmp_path: Path, root: Path) -> None:
    path = tmp_path / "db"
    limit = 1_000_000 if name == "duckdb" else 100_000
    done = subprocess.run(_command(_FILL, name, path, limit), cwd=root, capture_output=True, text=True, check=False)
    _check_full(name, path, done)


@LASTING
def test_a_full_file_system_keeps_what_was_committed(name: str, tmp_path: Path, root: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        path = tmp_path / "db"
        done = subprocess.run(_command(_FILL, name, path), cwd=root, capture_output=True, text=True, check=False)
        subprocess.run(["mount", "-o", "remount,size=100m", str(tmp_path)], check=True)
        _check_full(name, path, done)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _check_full(name: str, path: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert "the disk is full: expected" in done.stdout, done.stderr
    assert "free space and try again" in done.stdout
    whole = synthetic(400_000)
    with STORES[name](path) as store:
        stored = len(store.read("trades"))
        assert done.stdout.split()[-1] == str(stored)
        assert (stored - 10_000) % 30_000 == 0
        assert stored < len(whole)
        assert store.append("trades", whole.slice(0, stored + 1_000)) == 1_000


@LASTING
def test_a_folder_without_rights_is_named(name: str, open_folder: Path, root: Path) -> None:
    path = open_folder / "db"
    done = subprocess.run(_command(_OPEN_AS_NOBODY, name, path), cwd=root, capture_output=True, text=True, check=False)
    assert "cannot be" in done.stdout, done.stderr
    assert "written" in done.stdout
    assert "Permission denied" in done.stdout or "rights" in done.stdout
    with STORES[name](path) as store:
        assert len(store.read("trades")) == 10
