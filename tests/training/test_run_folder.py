import json

import pytest

from vqdna.config import StrictModel
from vqdna.errors import InputError
from vqdna.training.run_folder import RunFolder, content_hash


class Config(StrictModel):
    steps: int = 3
    name: str = "a"


def open_folder(path, config=Config(), seed=0):  # noqa: B008
    folder = RunFolder(path)
    folder.open(config, seed=seed, parents={}, inputs={"genomes": ["x.fa"]})
    return folder


def test_opening_writes_what_was_run(tmp_path):
    folder = open_folder(tmp_path / "run")
    assert "steps: 3" in folder.config_file.read_text()
    manifest = json.loads(folder.manifest_file.read_text())
    assert manifest["seed"] == 0
    assert manifest["versions"]["torch"]


def test_the_same_run_may_be_opened_again(tmp_path):
    open_folder(tmp_path / "run")
    assert open_folder(tmp_path / "run").finished() is None


def test_another_run_is_refused_by_the_key_that_differs(tmp_path):
    open_folder(tmp_path / "run")
    with pytest.raises(InputError, match="'steps' differs"):
        open_folder(tmp_path / "run", Config(steps=4))
    with pytest.raises(InputError, match="'seed' differs"):
        open_folder(tmp_path / "run", seed=1)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds no run"):
        open_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_half_written_checkpoints_are_not_found(tmp_path):
    folder = open_folder(tmp_path / "run")
    (folder.checkpoints / ".part" / "checkpoint-30").mkdir(parents=True)
    (folder.checkpoints / "checkpoint-9").mkdir()
    (folder.checkpoints / "checkpoint-10").mkdir()
    assert folder.last_checkpoint().name == "checkpoint-10"


def test_content_hash_sees_contents_and_not_the_folder_name(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") != content_hash(tmp_path / "c")
