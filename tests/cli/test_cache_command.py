from __future__ import annotations

import json


def test_cache_shows_its_folder_and_clears_a_kind(run_command, tmp_path, monkeypatch):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path))
    for kind in ("codes", "corpora"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "entry").write_bytes(bytes(1500))
    code, out, _ = run_command("cache")
    assert code == 0
    assert out.splitlines()[0] == str(tmp_path)
    assert "1.5 kB" in out
    run_command("cache", "--clear", "codes")
    record = json.loads(run_command("cache", "--json")[1])
    assert record["folder"] == str(tmp_path)
    assert {kind["kind"]: kind["num_bytes"] for kind in record["kinds"]} == {
        "corpora": 1500,
        "codes": 0,
        "tables": 0,
        "covid-windows": 0,
    }
    run_command("cache", "--clear")
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_cache_refuses_a_kind_without_clear_and_an_unknown_kind(run_command):
    code, _, err = run_command("cache", "codes")
    assert code == 2
    assert "vqdna cache --clear codes" in err
    code, _, err = run_command("cache", "--clear", "code")
    assert code == 2
    assert "did you mean 'codes'" in err
