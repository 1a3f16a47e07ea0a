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


def test_an_input_may_be_named_by_another_path_to_it_but_be_no_other(tmp_path, monkeypatch):
    for name in ("x.csv", "y.csv"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run")
    folder.open(Config(), seed=1, parents={}, inputs={"train": "x.csv"})
    folder.open(Config(), seed=1, parents={}, inputs={"train": tmp_path / "x.csv"})
    with pytest.raises(InputError, match=r"'inputs.train' differs"):
        folder.open(Config(), seed=1, parents={}, inputs={"train": tmp_path / "y.csv"})


class Shape(StrictModel):
    width: int


class OldConfig(StrictModel):
    steps: int = 3
    shape: Shape = Shape(width=8)


class NewShape(Shape):
    views: tuple[int, ...] | None = None


class NewConfig(StrictModel):
    steps: int = 3
    shape: NewShape = NewShape(width=8)
    feed: str = "continuous"


def test_many_inputs_are_known_again_by_their_files(tmp_path, monkeypatch):
    """So many that their names together are longer than a path may be."""
    files = [tmp_path / f"genome_{number:03}.fa" for number in range(120)]
    for file in files:
        file.write_text(">a\nACGT\n")
    run = RunFolder(tmp_path / "run")
    run.open(Config(), seed=0, parents={}, inputs={"genomes": [str(file) for file in files]})
    run.check(Config(), seed=0, inputs={"genomes": [str(file) for file in files]})
    monkeypatch.chdir(tmp_path)
    run.check(Config(), seed=0, inputs={"genomes": [file.name for file in files]})
    with pytest.raises(InputError, match=r"'inputs\.genomes' differs"):
        run.check(Config(), seed=0, inputs={"genomes": [file.name for file in files[1:]]})
    with pytest.raises(InputError, match=r"'inputs\.genomes' differs"):
        run.check(Config(), seed=0, inputs={"genomes": [file.name for file in reversed(files)]})


def test_a_run_from_before_a_key_existed_is_the_run_of_its_default(tmp_path):
    open_folder(tmp_path / "run", OldConfig())
    open_folder(tmp_path / "run", NewConfig())
    assert "views: null" in (tmp_path / "run" / "run.yaml").read_text()
    open_folder(tmp_path / "run", NewConfig())


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (NewConfig(feed="quantized"), "feed"),
        (NewConfig(shape=NewShape(width=8, views=(1, 2))), "shape.views"),
        (NewConfig(steps=4), "steps"),
        (NewConfig(shape=NewShape(width=9)), "shape.width"),
        (Config(), "shape"),
    ],
)
def test_another_value_of_a_later_key_is_another_run(tmp_path, config, key):
    folder = open_folder(tmp_path / "run", OldConfig())
    before = folder.config_file.read_bytes()
    with pytest.raises(InputError, match=f"'{key}' differs"):
        open_folder(tmp_path / "run", config)
    with pytest.raises(InputError, match="'seed' differs"):
        open_folder(tmp_path / "run", NewConfig(), seed=1)
    assert folder.config_file.read_bytes() == before


@pytest.mark.parametrize("text", ["", "steps: [3", "- steps"])
def test_a_damaged_run_yaml_is_refused_in_one_line(tmp_path, text):
    folder = open_folder(tmp_path / "run")
    folder.config_file.write_text(text)
    with pytest.raises(InputError, match=r"run: holds another run|run\.yaml.*(not YAML|expected keys)"):
        open_folder(tmp_path / "run")
    assert folder.config_file.read_text() == text


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
