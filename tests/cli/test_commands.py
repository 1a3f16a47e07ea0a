"""The command line in process: what a user sees of each mistake, and what the small commands print."""

from __future__ import annotations

import gc
import json
import re
import sys
from pathlib import Path

import pytest
import torch
import typer

from vqdna import __version__, weights
from vqdna.cli import app, main, spread_options
from vqdna.cli import installation as inspection
from vqdna.config import configs_folder, load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.results import FinetuneResults
from vqdna.finetune.settings import FinetuneConfig
from vqdna.genome.streams import sequence_files
from vqdna.results import command_line, read_json
from vqdna.stage_results import VocabularyResults
from vqdna.tokenizers import load_tokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

COMMANDS = sorted(typer.main.get_command(app).commands)
RESULTS = FinetuneResults(
    system="hrq", command="vqdna finetune", seed=0, seconds=1.0, method="lora", task="classification", num_classes=2,
    best_epoch=1, epochs=1, parameters={}, sequences={}, dev={"mcc": 0.5},
)  # fmt: skip
"""Of a fine-tuning that is not run."""
TINY = (
    "model.width=16", "model.stem_width=16", "model.num_blocks=2", "model.level_sizes=[8, 16]", "data.window=64",
    "data.evaluation_windows=4", "training.steps=2", "training.batch_size=2", "training.save_every=0",
    "training.precision=fp32",
)  # fmt: skip


@pytest.fixture
def run(run_command):
    """Function that runs a command and gives (exit code, standard output, standard error)."""
    return run_command


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Path:
    """Run folder of a vocabulary as stage 1 leaves it, as far as `encode` looks at it."""
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(width=16, stem_width=16, num_blocks=2, level_sizes=(8, 16))).train()
    model(torch.randint(0, 4, (8, 96), dtype=torch.uint8))
    model.quantizer.update_codebooks()
    folder = tmp_path_factory.mktemp("run")
    model.save_pretrained(folder / "model")
    return folder


@pytest.fixture(scope="module")
def shipped_folder(vocabulary, tmp_path_factory) -> Path:
    """What stands in for the models of the package: one, `small`, over the vocabulary."""
    folder = tmp_path_factory.mktemp("weights")
    VQVAE.from_pretrained(vocabulary / "model").save_pretrained(folder / "small" / "vocabulary")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer(f"vq:{vocabulary}"), shape)
    encoder.save_pretrained(folder / "small" / "encoder")
    return folder


@pytest.fixture(autouse=True)
def _shipped(shipped_folder, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", shipped_folder)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Working directory with two good genomes, one bad one, a good and a bad table, and an empty folder."""
    for name, text in {"a.fa": "ACGT" * 300, "b.fa": "AACCGGTT" * 150, "bad.fa": "ACGT!ACGT"}.items():
        (tmp_path / name).write_text(f">{name}\n{text}\n")
    (tmp_path / "table.csv").write_text("sequence,label\n" + "ACGTACGT,0\nTTTTGGGG,1\n" * 20)
    (tmp_path / "nolabel.csv").write_text("sequence,lable\nACGT,0\n")
    (tmp_path / "calls.vcf").write_text("a.fa\t3\trs1\tG\tT,<DEL>\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


STAGE_1 = "vocabulary --genomes a.fa --out run"
STAGE_2 = "pretrain --tokenizer nucleotide --genomes a.fa --out run"
PROBE = "probe --tokenizer kmer:2 --train table.csv --test table.csv"
ENCODE = "encode --vocabulary VOCABULARY"
MISTAKES = [
    ("vocabulary --genomes absent.fa --out run", r"absent\.fa"),
    ("vocabulary --genomes bad.fa --out run", r"bad\.fa:2"),
    ("vocabulary --genomes empty --out run", "no FASTA or FASTQ files"),
    (f"{STAGE_1} --config cpuu", "did you mean 'cpu'"),
    (f"{STAGE_1} --config absent.yaml", r"no configuration 'absent\.yaml'"),
    (f"{STAGE_1} --set training.stepps=1", "unknown key 'training.stepps'; did you mean 'steps'"),
    (f"{STAGE_1} --set training.steps", "expected key=value"),
    (f"{STAGE_1} --set training.steps=many", "training.steps: .*'many'"),
    (f"{STAGE_1} --set model.taps=[5,2]", "taps: expected ascending"),
    (f"{STAGE_1} --set model.quantizer=vq", "vq has one level"),
    (f"{STAGE_1} --set data.window=9999", "9999"),
    ("vocabulary --genomes a.fa --out empty/../a.fa", r"a\.fa"),
    ("pretrain --vocabulary smal --genomes a.fa --out run", "nor a built-in vocabulary .small.; did you mean 'small'"),
    (f"{STAGE_2} --vocabulary run", "either --vocabulary DIR or --tokenizer NAME"),
    ("pretrain --vocabulary absent --genomes a.fa --out run", "absent"),
    ("pretrain --vocabulary empty --genomes a.fa --out run", "no vocabulary here"),
    ("pretrain --tokenizer kmerr:3 --genomes a.fa --out run", "did you mean 'kmer'"),
    ("pretrain --tokenizer nucleotide --genomes absent.fa --out run", r"absent\.fa"),
    (f"{STAGE_2} --set masking.unit=basis", "masking.unit"),
    (f"{STAGE_2} --set backbone.model_type=bertt", "did you mean 'bert'"),
    ("finetune --encoder absent --train table.csv --out run", "absent"),
    ("finetune --encoder empty --train table.csv --out run", "empty"),
    ("finetune --encoder empty --train table.csv --out run --config cpi", "did you mean 'cpu'"),
    ("finetune --encoder smal --train table.csv --out run", "nor a built-in encoder .small.; did you mean 'small'"),
    ("predict --model absent a.fa -o out.csv", "absent"),
    ("variants absent.vcf --genome a.fa", r"absent\.vcf: no such file"),
    ("variants a.fa --genome a.fa", r"a\.fa:1: expected CHROM POS ID REF ALT"),
    ("variants calls.vcf --genome absent.fa", r"absent\.fa: no such file"),
    ("variants calls.vcf --genome b.fa", r"calls\.vcf:1: b\.fa has no sequence 'a\.fa'; did you mean 'b\.fa'"),
    ("variants calls.vcf --genome a.fa -o effects.tvs", r"got the suffix '\.tvs'.*did you mean '\.tsv'"),
    ("variants calls.vcf --genome a.fa --model absent", "absent"),
    ("variants calls.vcf --genome a.fa --mismatches skp", "--mismatches: got 'skp'.*did you mean 'skip'"),
    ("embed --encoder absent a.fa -o out.npy", "absent"),
    ("embed --encoder empty a.fa -o out.npy", "empty: no model here"),
    ("embed a.fa -o out.np", r"got the suffix '\.np'.*did you mean '\.np"),
    ("embed absent.fa -o out.npy", r"absent\.fa"),
    ("embed bad.fa -o out.npy", r"bad\.fa:2"),
    ("embed a.fa -o out.npy --gaps drp", "--gaps: got 'drp'"),
    ("embed a.fa -o out.npy --pool maen", "--pool: got 'maen'.*did you mean 'mean'"),
    ("embed a.fa -o out.npy --step 5", "--step goes with --window"),
    ("embed a.fa -o out.npy --bed absent.bed", r"absent\.bed"),
    (f"{ENCODE} a.fa -o codes.parqet", r"unknown output format '\.parqet'.*did you mean '\.parquet'"),
    (f"{ENCODE} absent.fa -o codes.csv", r"absent\.fa"),
    (f"{ENCODE} bad.fa -o codes.csv", r"bad\.fa:2"),
    (f"{ENCODE} a.fa -o codes.csv --gaps drp", "--gaps: got 'drp'"),
    ("encode --vocabulary empty a.fa -o codes.csv", "no vocabulary here"),
    ("probe --vocabulary smal --train table.csv --test table.csv --out run", "did you mean 'small'"),
    (f"{PROBE} --vocabulary empty --out run", "either --vocabulary DIR or --tokenizer NAME"),
    ("probe --tokenizer kmer:2 --train nolabel.csv --test table.csv --out run", "nolabel.csv"),
    ("probe --tokenizer kmer:2 --train absent.csv --test table.csv --out run", r"absent\.csv"),
    ("report empty -o report.html", "empty"),
    ("report absent -o report.html", "absent"),
    ("bpe --genomes absent.fa --out run", r"absent\.fa"),
    ("probe --tokenizer kmer:2 --train table.csv --test table.csv --max-train 2 --out table.csv", "table.csv"),
    ("study codebook --genomes a.fa --out run --cells vq_k521 kmer_6", "no cell 'vq_k521'.*did you mean 'vq_k512'"),
    ("study codebook --genomes a.fa --out run --datasets empty", "empty: no train or dev or test file"),
    ("study codebook --genomes a.fa --out run --datasets mouse/33", "no dataset 'mouse/33'"),
    ("study codebook --genomes a.fa --out run --preset scale", "no preset 'scale'.*did you mean 'scaled'"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(run, here, vocabulary, line, message):
    before = contents(here)
    code, out, err = run(*line.replace("VOCABULARY", str(vocabulary)).split())
    assert (code, out) == (2, "")
    assert err.startswith("vqdna: error: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert contents(here) == before


@pytest.mark.parametrize(
    "line", ["encode", "embed", "vocabulari", f"{PROBE} --tset x", "benchmark --systems cnn --datasets x"]
)
def test_a_command_line_that_does_not_parse_ends_with_code_2_and_no_traceback(run, here, line):
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert err.strip()
    assert "Traceback" not in err


def tiny_run(run, out: Path, *changes: str) -> tuple[int, str, str]:
    overrides = [part for change in (*TINY, *changes) for part in ("--set", change)]
    return run("vocabulary", "--config", "demo", *overrides, "--genomes", "a.fa", "b.fa", "--out", out, "--json")


def test_a_run_prints_its_record_is_not_repeated_and_keeps_its_folder(run, here):
    code, out, err = tiny_run(run, here / "run")
    assert code == 0, err
    record = json.loads(out)
    assert record == read_json(here / "run" / "results.json")
    assert (record["stage"], record["seed"]) == ("vocabulary", 0)
    assert record["genomes"]["species"] == ["a", "b"]

    held = contents(here / "run")
    assert json.loads(tiny_run(run, here / "run")[1]) == record
    code, out, err = tiny_run(run, here / "run", "training.steps=3")
    assert (code, out) == (2, "")
    assert "'training.steps' differs" in err
    assert err.count("\n") == 1
    assert contents(here / "run") == held

    assert run("report", "run", "-o", "report.html", "--summary", "summary.json")[0] == 0
    assert (here / "report.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert "code_map" not in json.dumps(read_json(here / "summary.json"))


def test_encode_writes_codes_and_says_how_many(run, here, vocabulary):
    code, out, _ = run("encode", "--vocabulary", vocabulary, "a.fa", "-o", "codes.csv", "--json")
    assert code == 0
    assert json.loads(out) == {"sequences": 1, "bases": 1200, "ambiguous": 0, "codes": 2400}
    lines = (here / "codes.csv").read_text().splitlines()
    assert len(lines) == 1201
    assert lines[0] == "name,start,end,level_0,level_1"


def test_commands_take_the_shipped_model_where_none_is_named(run, here, vocabulary):
    run("encode", "a.fa", "-o", "shipped.csv")
    run("encode", "--vocabulary", "small", "a.fa", "-o", "named.csv")
    run("encode", "--vocabulary", vocabulary, "a.fa", "-o", "given.csv")
    texts = [(here / name).read_text() for name in ("shipped.csv", "named.csv", "given.csv")]
    assert texts[0] == texts[1] == texts[2]
    code, out, err = run("probe", "--train", "table.csv", "--test", "table.csv", "--json")
    assert code == 0, err
    assert json.loads(out)["test"]["mcc"] >= -1


def test_embed_writes_rows_and_says_how_many(run, here):
    code, out, err = run("embed", "a.fa", "-o", "rows.tsv", "--window", 500, "--json")
    assert code == 0, err
    assert json.loads(out) == {"pieces": 3, "bases": 1200, "rows": 3, "width": 16}
    lines = [line.split("\t") for line in (here / "rows.tsv").read_text().splitlines()]
    assert lines[0][:5] == ["name", "start", "end", "strand", "e0"]
    assert [line[:4] for line in lines[1:]] == [["a.fa", str(n), str(min(n + 500, 1200)), "+"] for n in (0, 500, 1000)]


def test_variants_writes_a_row_for_each_alternate(run, here):
    code, out, err = run("variants", "calls.vcf", "--genome", "a.fa", "--window", 64, "-o", "effects.tsv")
    assert (code, out) == (0, "1 of 2 alternates scored -> effects.tsv\n"), err
    lines = [line.split("\t") for line in (here / "effects.tsv").read_text().splitlines()]
    assert lines[0] == ["chrom", "pos", "id", "ref", "alt", "cosine_distance", "euclidean_distance"]
    assert lines[1][:5] == ["a.fa", "3", "rs1", "G", "T"]
    assert float(lines[1][6]) > 0
    assert lines[2] == ["a.fa", "3", "rs1", "G", "<DEL>", "", ""]
    assert (
        run("variants", "calls.vcf", "--genome", "a.fa", "--window", 64)[1].replace(",", "\t")
        == (here / "effects.tsv").read_text()
    )
    assert json.loads(run("variants", "calls.vcf", "--genome", "a.fa", "-o", "e.csv", "--json")[1]) == {
        "variants": 2, "scored": 1, "left_out": 1,
    }  # fmt: skip


def test_finetune_takes_the_shipped_encoder(tmp_path, monkeypatch, shipped_folder):
    given = {}
    monkeypatch.setattr("vqdna.finetune.public.finetune_files", lambda config, **rest: given.update(rest) or RESULTS)
    with pytest.raises(SystemExit) as ended:
        main(["finetune", "--train", "train.csv", "--out", str(tmp_path)])
    assert ended.value.code == 0
    assert given["encoder"] == shipped_folder / "small" / "encoder"


def test_probe_prints_scores_and_writes_them_where_asked(run, here):
    code, out, _ = run(*PROBE.split(), "--out", "probe", "--json")
    record = json.loads(out)
    assert code == 0
    assert {"mcc", "f1_macro", "accuracy"} <= set(record["test"])
    assert {"seed", "seconds", "command"} <= set(record)
    assert read_json(here / "probe" / "results.json") == record
    assert "test: {" in run(*PROBE.split())[1]


def test_simulated_data_is_input_of_the_other_commands(run, here):
    assert run("simulate", "--out", "made", "--species", 2, "--bases", 30_000, "--sequences", 100)[0] == 0
    task = here / "made" / "promoter"
    code, out, _ = run(
        "probe", "--tokenizer", "kmer:3", "--train", task / "train.csv", "--test", task / "test.csv", "--json"
    )
    assert code == 0
    assert json.loads(out)["num_sequences"]["train"] > 0
    assert len(sequence_files([here / "made" / "genomes"])) == 2


def test_several_values_behind_one_name_are_spread():
    line = "vocabulary --genomes a.fa b.fa --out run --set x=1 y=2 -c cpu --genomes c.fa"
    spread = "vocabulary --genomes a.fa --genomes b.fa --out run --set x=1 --set y=2 -c cpu --genomes c.fa"
    assert spread_options(line.split()) == spread.split()
    assert spread_options(["encode", "-", "-o", "-"]) == ["encode", "-", "-o", "-"]


def test_folders_are_searched_for_sequence_files_once_and_in_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.fa.gz", "deep/a.fastq", "c.fna", "notes.txt", "genes.gff"):
        (tmp_path / name).touch()
    found = sequence_files([tmp_path, tmp_path / "c.fna", Path("given.xyz")])
    assert found == [tmp_path / "b.fa.gz", tmp_path / "c.fna", tmp_path / "deep/a.fastq", Path("given.xyz")]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no FASTA or FASTQ"):
        sequence_files([tmp_path / "none"])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example_of_it(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"vqdna {command}" in " ".join(out.split()).partition("Example:")[2]


def test_help_lists_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)


def test_the_names_that_scripts_rely_on_stay():
    promised = {
        "vocabulary",
        "pretrain",
        "finetune",
        "predict",
        "variants",
        "embed",
        "encode",
        "probe",
        "report",
        "doctor",
    }
    assert promised <= set(COMMANDS)
    for stage in ("vocabulary", "pretrain", "finetune"):
        names = {name for option in typer.main.get_command(app).commands[stage].params for name in option.opts}
        assert {"--config", "--set", "--out", "--seed", "--json"} <= names


def test_version(run):
    assert run("--version") == (0, f"{__version__}\n", "")


def test_doctor_prints_json_on_request_and_lines_otherwise(run):
    code, out, _ = run("doctor", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["vqdna"] == __version__
    assert facts["problems"] == []
    assert set(facts["models"]["small"]) == {"vocabulary", "encoder"}
    text = run("doctor")[1]
    assert f"vqdna {__version__}" in text
    assert "problems: none" in text


def test_an_interrupt_says_how_to_go_on(run, monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inspection, "inspect_installation", interrupted)
    code, out, err = run("doctor")
    assert (code, out) == (130, "")
    assert err == "vqdna: stopped; a training resumes from its last checkpoint with the same command\n"


def test_a_recorded_command_is_what_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/vqdna", "vocabulary", "--genomes", "my genome.fa"])
    assert command_line() == "vqdna vocabulary --genomes 'my genome.fa'"


def test_default_configurations_exist():
    for stage in ("vocabulary", "pretrain"):
        options = typer.main.get_command(app).commands[stage].params
        default = next(option.default for option in options if "--config" in option.opts)
        assert (configs_folder() / stage / f"{default}.yaml").is_file()


@pytest.mark.parametrize(("encoder", "suited"), [(None, "small"), ("folder", "cpu")])
def test_a_shipped_encoder_is_fine_tuned_as_suits_it(tmp_path, monkeypatch, encoder, suited):
    seen = []
    monkeypatch.setattr("vqdna.finetune.public.finetune_files", lambda config, **rest: seen.append(config) or RESULTS)
    (tmp_path / "folder").mkdir()
    given = [] if encoder is None else ["--encoder", str(tmp_path / encoder)]
    with pytest.raises(SystemExit) as ended:
        main(["finetune", *given, "--train", "t.csv", "--out", str(tmp_path / "out"), "--json"])
    assert ended.value.code == 0
    assert seen == [load_config(FinetuneConfig, suited, "finetune")]


def test_finetune_takes_fasta_with_a_label_table(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("vqdna.finetune.public.finetune_files", lambda config, **rest: given.update(rest) or RESULTS)
    arguments = [
        "finetune",
        "--encoder",
        str(tmp_path),
        "--train",
        "train.fa",
        "--labels",
        "labels.tsv",
        "--out",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert str(given["labels"]) == "labels.tsv"


@pytest.mark.parametrize("gaps", ["error", "drop"])
def test_gaps_reach_the_corpus(tmp_path, monkeypatch, gaps):
    given = {}

    def run(config, **options):
        given.update(gaps=config.data.gaps)
        return VocabularyResults.model_construct()

    monkeypatch.setattr("vqdna.vocabulary.train.run_vocabulary", run)
    with pytest.raises(SystemExit) as ended:
        main(["vocabulary", "--genomes", str(tmp_path / "a.fa"), "--out", str(tmp_path / "o"), "--gaps", gaps])
    assert ended.value.code == 0
    assert given == {"gaps": gaps}


def threads_of_the_group():
    """Names of this process's threads that serve connections of ranks."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if "gloo" in name]


@pytest.fixture
def no_chance_collection():
    """The collector runs when asked alone: that it happens to run in time is no end of a group."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are named in /proc")
def test_a_command_leaves_the_group_of_ranks_that_it_joined(tmp_path, no_chance_collection):
    """Threads of connections left open may abort a rank while its interpreter shuts down."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    model.trained = [model]  # a cycle, as every trained model is in one
    del model
    assert threads_of_the_group()
    with pytest.raises(SystemExit):
        main(["--version"])
    assert not torch.distributed.is_initialized()
    assert threads_of_the_group() == []
