import pytest

from vqdna.config import StrictModel, completed, configs_folder, load_config, read_yaml, write_yaml
from vqdna.errors import InputError


class Inner(StrictModel):
    steps: int = 10
    rate: float = 0.1


class Outer(StrictModel):
    training: Inner = Inner()
    name: str = "x"


def written(tmp_path, text, name="a.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_base_lies_underneath_and_overrides_on_top(tmp_path):
    written(tmp_path, "training: {steps: 1, rate: 0.5}\nname: base\n", "_base.yaml")
    path = written(tmp_path, "base: _base.yaml\ntraining: {steps: 2}\n")
    config = load_config(Outer, path, "vocabulary", ["training.rate=0.25"])
    assert (config.training.steps, config.training.rate, config.name) == (2, 0.25, "base")


def test_saved_text_loads_to_the_same_configuration(tmp_path):
    config = Outer(training=Inner(steps=7))
    assert load_config(Outer, written(tmp_path, write_yaml(config)), "vocabulary") == config


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("training: {stepss: 2}", [], r"unknown key 'training.stepss'; did you mean 'steps'\?"),
        ("traning: {}", [], r"unknown key 'traning'; did you mean 'training'\?"),
        ("training: {steps: many}", [], "training.steps: .*integer.*'many'"),
        ("training: [1, 2", [], r"a.yaml:\d+: not YAML"),
        ("- a", [], "expected keys and values, got list"),
        ("name: y", ["training.steps"], "expected key=value"),
        ("name: y", ["training.step=3"], r"unknown key 'training.step'; did you mean 'steps'\?"),
        ("base: gone.yaml", [], "gone.yaml: no such file"),
    ],
)
def test_faults_name_file_and_key(tmp_path, text, overrides, message):
    with pytest.raises(InputError, match=message):
        load_config(Outer, written(tmp_path, text), "vocabulary", overrides)


def test_saved_values_get_the_defaults_of_keys_that_came_later():
    assert completed(Outer, {"training": {"steps": 3}}) == {"training": {"steps": 3, "rate": 0.1}, "name": "x"}
    whole = Outer(training=Inner(rate=0.5), name="y").model_dump()
    assert completed(Outer, whole) == whole


@pytest.mark.parametrize("held", [{"traning": {}}, {"training": {"steps": "many"}}, {"stage": "pretrain"}, {}])
def test_values_of_another_kind_are_left_as_they_are(held):
    assert completed(Outer, held) == (held or Outer().model_dump())


def test_unknown_name_lists_the_nearest():
    with pytest.raises(InputError, match="did you mean 'paper_hrq'"):
        load_config(Outer, "paper_hqr", "vocabulary")


def test_every_base_exists():
    assert all(isinstance(read_yaml(path), dict) for path in configs_folder().rglob("*.yaml"))
