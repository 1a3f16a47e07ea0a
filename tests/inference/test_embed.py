from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from vqdna.encoder import long_rows
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids, reverse_complement, to_base_ids
from vqdna.inference import embed, inputs
from vqdna.inference.embed import EmbedOptions, embed_file
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

WIDTH = 16
STEM = {"width": 8, "kernel_size": 5, "merge": 4}
BACKBONE = {
    "model_type": "modernbert", "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 16, "layer_types": ["sliding_attention"] * 2, "local_attention": 8,
}  # fmt: skip


def encoder(tokenizer: Tokenizer | None = None, stem: dict | None = STEM) -> GenomeEncoder:
    torch.manual_seed(0)
    network = GenomeEncoder.from_tokenizer(tokenizer or NucleotideTokenizer(), BACKBONE, stem=stem)
    for weight in network.parameters():  # so that neighbors matter
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


def sequences(count: int = 9) -> dict[str, str]:
    random = np.random.default_rng(0)
    made = {f"s{n}": random.integers(0, 4, random.integers(3, 120)).astype(np.uint8) for n in range(count)}
    made["s1"][2:] = 4
    return {name: from_base_ids(bases) for name, bases in made.items()}


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "in.fa"
    path.write_text("".join(f">{name} comment\n{text}\n" for name, text in sequences().items()))
    return path


def states(network: GenomeEncoder, text: str) -> np.ndarray:
    """Hidden states of one sequence by itself."""
    with torch.no_grad():
        return network(torch.from_numpy(to_base_ids(text).base_ids)[None]).last_hidden_state[0].numpy()


def embedded(network: GenomeEncoder, source: Path, **options) -> dict[str, list]:
    output = source.with_suffix(".parquet")
    embed_file(network, str(source), str(output), EmbedOptions(**options))
    return pyarrow.parquet.read_table(output).to_pydict()


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_rows_are_the_mean_of_each_sequence_alone_in_file_order(fasta, batch_size):
    network = encoder()
    table = embedded(network, fasta, batch_size=batch_size)
    assert table["name"] == list(sequences())
    assert table["start"] == [0] * 9
    assert table["end"] == [len(text) for text in sequences().values()]
    expected = [states(network, text).mean(axis=0) for text in sequences().values()]
    assert np.allclose(table["embedding"], expected, atol=1e-5)
    assert np.std(table["embedding"], axis=0).min() > 1e-3


def test_mean_and_max_stand_side_by_side(fasta):
    network = encoder()
    table = embedded(network, fasta, pool="mean+max")
    first = states(network, sequences()["s0"])
    assert np.allclose(table["embedding"][0], [*first.mean(axis=0), *first.max(axis=0)], atol=1e-5)


@pytest.mark.parametrize("tokenizer", [NucleotideTokenizer(), KmerTokenizer(3), KmerTokenizer(4, 4)])
@pytest.mark.parametrize("stem", [None, STEM])
def test_without_pooling_each_position_has_a_row_and_its_bases(fasta, tokenizer, stem):
    network = encoder(tokenizer, stem)
    table = embedded(network, fasta, pool="none")
    for name, text in sequences().items():
        rows = [row for row, other in enumerate(table["name"]) if other == name]
        expected = states(network, text)
        assert np.allclose([table["embedding"][row] for row in rows], expected, atol=1e-5)
        starts, ends = ([table[column][row] for row in rows] for column in ("start", "end"))
        assert starts == sorted(set(starts))
        assert (starts[0], ends[-1]) == (0, len(text))
        assert all(ahead <= end for ahead, end in zip(starts[1:], ends))
        assert all(end > start for start, end in zip(starts, ends))
    if isinstance(tokenizer, NucleotideTokenizer) and stem:
        assert table["start"][:3] == [0, 4, 8]


def test_windows_cover_every_base_and_are_embedded_by_themselves(fasta):
    network = encoder()
    table = embedded(network, fasta, window=40, step=25)
    for name, text in sequences().items():
        spans = [(table["start"][row], table["end"][row]) for row, other in enumerate(table["name"]) if other == name]
        assert [start for start, _ in spans] == list(range(0, 25 * len(spans), 25))
        assert spans[-1][1] == len(text)
        assert all(end - start == 40 for start, end in spans[:-1])
    row = max(range(len(table["start"])), key=lambda row: table["start"][row])
    text = sequences()[table["name"][row]][table["start"][row] : table["end"][row]]
    assert np.allclose(table["embedding"][row], states(network, text).mean(axis=0), atol=1e-5)


def test_a_window_as_long_as_the_sequence_is_one(fasta):
    longest = max(map(len, sequences().values()))
    assert len(embedded(encoder(), fasta, window=longest)["name"]) == 9


def write_bed(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_regions_of_a_bed_file_in_its_order_and_on_their_strand(fasta, tmp_path):
    bed = write_bed(
        tmp_path / "r.bed",
        "# comment\ntrack name=x\ns3\t2\t19\tfirst\t0\t-\ns0\t1\t10\ns3\t0\t5\tlast\t.\t+\n",
    )
    network = encoder()
    table = embedded(network, fasta, bed=bed)
    assert table["region"] == ["first", "s0:1-10", "last"]
    assert list(zip(table["name"], table["start"], table["end"], table["strand"], strict=True)) == [
        ("s3", 2, 19, "-"), ("s0", 1, 10, "+"), ("s3", 0, 5, "+"),
    ]  # fmt: skip
    bases = to_base_ids(sequences()["s3"][2:19]).base_ids
    expected = states(network, from_base_ids(reverse_complement(bases))).mean(axis=0)
    assert np.allclose(table["embedding"][0], expected, atol=1e-5)
    by_position = embedded(network, fasta, bed=bed, pool="none")
    assert (by_position["start"][0], by_position["end"][0]) == (15, 19)
    assert (by_position["start"][4], by_position["end"][4]) == (2, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s33\t0\t5", r"r.bed:1: .*in.fa has no sequence 's33'; did you mean 's3'\?"),
        ("s0\t0\t500", "r.bed:1: the region ends at 500, and 's0' has"),
        ("s0\t5\t5", "r.bed:1: the region 5-5 holds no base"),
        ("s0\t-1\t5", "r.bed:1: expected 'sequence start end'"),
        ("s0 0", "r.bed:1: expected 'sequence start end'"),
        ("s0\t0\t5\tx\t0\tq", "r.bed:1: got the strand 'q'"),
        ("# nothing", "r.bed: holds no regions"),
    ],
)
def test_a_faulty_bed_line_is_named_and_nothing_is_written(fasta, tmp_path, line, message):
    bed = write_bed(tmp_path / "r.bed", line + "\n")
    with pytest.raises(InputError, match=message):
        embedded(encoder(), fasta, bed=bed)
    assert not (tmp_path / "in.parquet").exists()


def test_both_strands_give_the_same_for_a_sequence_and_its_reverse_complement(tmp_path):
    text = sequences()["s4"]
    other = from_base_ids(reverse_complement(to_base_ids(text).base_ids))
    (tmp_path / "in.fa").write_text(f">a\n{text}\n>b\n{other}\n")
    network = encoder()
    first, second = embedded(network, tmp_path / "in.fa", both_strands=True)["embedding"]
    assert np.allclose(first, second, atol=1e-6)
    expected = (states(network, text).mean(axis=0) + states(network, other).mean(axis=0)) / 2
    assert np.allclose(first, expected, atol=1e-5)
    plain = embedded(network, tmp_path / "in.fa")["embedding"]
    assert not np.allclose(plain[0], plain[1], atol=1e-3)


def test_every_format_holds_the_same(fasta, tmp_path, monkeypatch):
    network, options = encoder(), EmbedOptions()
    expected = np.array(embedded(network, fasta)["embedding"], dtype=np.float32)
    for suffix in (".tsv", ".npz", ".npy"):
        embed_file(network, str(fasta), str(tmp_path / f"out{suffix}"), options)
    held = np.load(tmp_path / "out.npz")
    assert held["name"].tolist() == list(sequences())
    assert np.array_equal(held["embedding"], expected)
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)
    with (tmp_path / "printed").open("w") as stdout, fasta.open() as stdin:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stdin", stdin)
        embed_file(network, "-", "-", options)
    monkeypatch.undo()
    for name in ("out.tsv", "printed"):
        lines = (tmp_path / name).read_text().splitlines()
        assert lines[0].split("\t") == ["name", "start", "end", "strand", *(f"e{n}" for n in range(WIDTH))]
        numbers = np.loadtxt(io.StringIO("\n".join(lines[1:])), usecols=range(4, 4 + WIDTH), dtype=np.float32)
        assert np.array_equal(numbers, expected)
    schema = pyarrow.parquet.read_schema(tmp_path / "in.parquet")
    assert str(schema.field("embedding").type) == f"fixed_size_list<element: float>[{WIDTH}]"


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_what_is_held_at_a_time_changes_nothing(fasta, monkeypatch, pool):
    expected = embedded(encoder(), fasta, pool=pool)
    monkeypatch.setattr(embed, "NUMBERS_AT_A_TIME", 100)
    monkeypatch.setattr(inputs, "SEQUENCES_AT_A_TIME", 2)
    given = embedded(encoder(), fasta, pool=pool)
    assert np.allclose(given.pop("embedding"), expected.pop("embedding"), atol=1e-5)
    assert given == expected


def test_bfloat16_is_near(fasta):
    network = encoder()
    exact, rough = (np.array(embedded(network, fasta, precision=name)["embedding"]) for name in ("fp32", "bf16"))
    assert np.abs(exact - rough).max() < 0.1
    assert not np.array_equal(exact, rough)


def test_a_sequence_that_is_too_long_is_named_and_windows_of_it_are_not(fasta, monkeypatch):
    monkeypatch.setattr("vqdna.encoder.encoded_sequences.MAX_BASES", 50)
    with pytest.raises(InputError, match=r"in.fa: 's\d' 0-\d+: got \d+ bases, expected at most 50; cut the sequence"):
        embedded(encoder(), fasta)
    assert not fasta.with_suffix(".parquet").exists()
    assert embedded(encoder(), fasta, window=50)["name"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "maen"}, "--pool: got 'maen', .*did you mean 'mean'"),
        ({"precision": "fp64"}, "--precision: got 'fp64'"),
        ({"window": 0}, "--window: got 0, expected at least 1"),
        ({"step": 5}, "--step goes with --window"),
        ({"window": 5, "bed": Path("x.bed")}, "--window or --bed, not both"),
        ({"both_strands": True, "pool": "none"}, "--both-strands goes with"),
    ],
)
def test_options_that_make_no_sense_are_refused(fasta, options, message):
    with pytest.raises(InputError, match=message):
        embedded(encoder(), fasta, **options)


def test_an_unknown_format_gets_the_nearest(fasta, tmp_path):
    with pytest.raises(InputError, match=r"'\.parqet'.*did you mean '\.parquet'"):
        embed_file(encoder(), str(fasta), str(tmp_path / "out.parqet"), EmbedOptions())


def test_a_fault_in_a_late_record_leaves_an_older_file_as_it_is(fasta, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "SEQUENCES_AT_A_TIME", 1)
    output = tmp_path / "out.tsv"
    output.write_text("older")
    fasta.write_text(fasta.read_text() + ">bad\nAC!T\n")
    with pytest.raises(InputError, match=r"in\.fa:20"):
        embed_file(encoder(), str(fasta), str(output), EmbedOptions())
    assert output.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", "out.tsv"]


def test_the_limit_is_stated_once():
    assert long_rows.MAX_BASES == 450_000
