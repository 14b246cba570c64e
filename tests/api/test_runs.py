"""Training runs over /v1: their records, and their files; nothing else of the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.stored import TRADED

from tapeline.config import Settings

RUN = "0123abcd"
RECORD: dict[str, Any] = {
    "run": RUN,
    "instrument": TRADED,
    "timeframe": "1m",
    "horizon": "5m",
    "rows": 700,
    "target": "return",
    "champion": "last_price",
    "promoted": False,
    "reason": "no edge found",
    "targets": {"return": {"gate": [{"name": "better", "passed": False, "text": "not"}]}},
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"runs": tmp_path / "runs"})


@pytest.fixture
def folder(settings: Settings) -> Path:
    place = settings.runs / f"{TRADED}_1m_5m_{RUN}"
    (place / "work").mkdir(parents=True)
    (place / "report.json").write_text(json.dumps(RECORD))
    (place / "report.html").write_text("<style>p{}</style>")
    (place / "errors.png").write_bytes(b"\x89PNG")
    (place / "secret.txt").write_text("not listed")
    (place / "work" / "said.npz").write_bytes(b"x")
    (place.parent / "outside.json").write_text("{}")
    return place


async def test_runs_are_listed_the_newest_first(client: httpx.AsyncClient, folder: Path) -> None:
    for number, name in enumerate(("older", "other")):
        place = folder.parent / name
        place.mkdir()
        (place / "report.json").write_text(json.dumps(RECORD | {"run": name, "instrument": f"{name.upper()}.SIM"}))
        os.utime(place / "report.json", ns=(number, number))
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "report.json").write_text('{"run": ')
    found = (await client.get("/v1/runs")).raise_for_status().json()["items"]
    assert [row["run"] for row in found] == [RUN, "other", "older"]
    assert found[1]["made_at"] == "1970-01-01T00:00:00.000000001Z"
    assert (found[0]["champion"], found[0]["promoted"], found[0]["reason"]) == ("last_price", False, "no edge found")
    some = (await client.get("/v1/runs", params={"instrument": TRADED})).json()["items"]
    assert [row["run"] for row in some] == [RUN]
    assert len((await client.get("/v1/runs", params={"limit": 1})).json()["items"]) == 1


async def test_no_folder_is_no_run(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/runs")).json()["items"] == []
    assert (await client.get("/v1/runs/abcd")).status_code == 404


async def test_a_run_names_its_files(client: httpx.AsyncClient, folder: Path) -> None:
    found = (await client.get(f"/v1/runs/{RUN[:5]}")).raise_for_status().json()
    assert found == RECORD | {"files": ["errors.png", "report.html", "report.json"]}


async def test_files_come_as_what_they_are_and_can_do_nothing(client: httpx.AsyncClient, folder: Path) -> None:
    page = (await client.get(f"/v1/runs/{RUN}/files/report.html")).raise_for_status()
    assert page.headers["content-type"].startswith("text/html")
    assert "sandbox" in page.headers["content-security-policy"]
    assert "script-src" not in page.headers["content-security-policy"]
    picture = (await client.get(f"/v1/runs/{RUN}/files/errors.png")).raise_for_status()
    assert (picture.content, picture.headers["content-type"]) == (b"\x89PNG", "image/png")


@pytest.mark.parametrize(
    "name",
    [
        "secret.txt",
        "work",
        "work/said.npz",
        "../outside.json",
        "..%2Foutside.json",
        "%2e%2e%2foutside.json",
        "..%5Coutside.json",
        "%2Fetc%2Fpasswd",
        "report.html%00",
        "folds.csv",
        ".",
    ],
)
async def test_no_other_file_can_be_had(client: httpx.AsyncClient, folder: Path, name: str) -> None:
    answer = await client.get(f"/v1/runs/{RUN}/files/{name}")
    assert answer.status_code == 404
    assert str(folder.parent) not in answer.text


async def test_a_link_out_of_the_folder_is_not_followed(client: httpx.AsyncClient, folder: Path) -> None:
    (folder / "folds.csv").symlink_to(folder.parent / "outside.json")
    assert (await client.get(f"/v1/runs/{RUN}/files/folds.csv")).status_code == 404


@pytest.mark.parametrize("run", ["..", "%2e%2e", "*", "0123/../..", "a b"])
async def test_a_run_is_asked_for_by_its_id(client: httpx.AsyncClient, folder: Path, run: str) -> None:
    assert (await client.get(f"/v1/runs/{run}/files/report.json")).status_code in (404, 422)


async def test_versions_stand_beside_their_champion(client: httpx.AsyncClient) -> None:
    names = {row["name"] for row in (await client.get("/v1/models")).json()["items"]}
    for name in sorted(names):
        found = (await client.get("/v1/duels", params={"name": name})).raise_for_status().json()["items"]
        assert [row["status"] for row in found] == ["champion"]
        assert ("gain" in found[0]) == (not name.endswith(("regime", "anomaly")))
    assert (await client.get("/v1/duels", params={"name": "nobody"})).status_code == 404
