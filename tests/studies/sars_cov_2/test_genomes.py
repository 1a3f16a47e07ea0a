"""Genomes as they come: handled or refused with a reason, and counted."""

from __future__ import annotations

import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.genome import from_base_ids
from vqdna.studies.sars_cov_2.genomes import read_genomes, read_labels, read_reference
from vqdna.studies.sars_cov_2.splits import date_split, random_split


def fasta(tmp_path, records):
    path = tmp_path / "genomes.fa"
    path.write_text("".join(f">{header}\n{text}\n" for header, text in records))
    return path


def taken(tmp_path, knowledge, *records):
    path = fasta(tmp_path, records)
    return read_genomes([path], knowledge, read_labels([path], None))


@pytest.fixture
def text(knowledge):
    """The reference as text, with one base changed so that it is no copy of anything."""
    return from_base_ids(knowledge.reference)


def changed(text, place):
    return text[:place] + {"A": "C", "C": "G", "G": "T", "T": "A"}[text[place]] + text[place + 1 :]


def test_mutations_are_those_that_the_genomes_were_made_with(clades, genomes):
    for simulated, genome in zip(clades.genomes, genomes, strict=True):
        assert {str(mutation) for mutation in genome.mutations} == simulated.mutations
        assert (genome.lineage, genome.pango, genome.date) == (simulated.variant, simulated.lineage, simulated.date)


def test_n_lower_case_gaps_and_lost_bases_are_handled_and_counted(tmp_path, knowledge, text):
    intake = taken(
        tmp_path, knowledge,
        ("a Red", changed(text, 500).lower()),
        ("b Red", changed(text, 600)[:1000] + "N" * 100 + text[1100:]),
        ("c Red", changed(text, 700)[:1000] + "-" * 9 + text[1009:]),
        ("d Red R.1.1.9 2021-03-01", changed(text, 800)[:1000] + "RY" + text[1002:]),
    )  # fmt: skip
    assert [genome.name for genome in intake.kept] == ["a", "b", "c", "d"]
    assert intake.handled["with lower case (read as upper case)"] == 1
    assert intake.handled["with N (left out of comparisons)"] == 2
    assert intake.handled["with lost bases"] == 1
    assert intake.handled["with ambiguity codes (read as N)"] == 1
    assert sum(mutation.is_deletion for mutation in intake.kept[2].mutations) == 9
    assert len(intake.kept[1].mutations) == 1
    assert set(range(1000, 1100)) == set(intake.kept[1].unknown_places.tolist())
    assert (intake.kept[3].pango, intake.kept[3].date) == ("R.1.1.9", "2021-03-01")


def test_each_refusal_says_why_and_is_counted(tmp_path, knowledge, text):
    random = np.random.default_rng(5)
    other = from_base_ids(random.integers(0, 4, 3000).astype(np.uint8))
    far = list(text)
    for place in random.choice(3000, 240, replace=False).tolist():
        far[place] = "A" if far[place] != "A" else "C"
    intake = taken(
        tmp_path, knowledge,
        ("kept Red", changed(text, 500)),
        ("again Red", changed(text, 500)),
        ("silent", changed(text, 501)),
        ("omicron B.1.1.529", changed(text, 502)),
        ("foreign Red", other),
        ("far Red", "".join(far)),
        ("holes Red", text[:1000] + "N" * 1000 + text[2000:]),
    )  # fmt: skip
    record = intake.record([], None, 0, None)
    reasons = {entry.reason.split(":")[0]: entry.examples for entry in record.refused}
    assert reasons == {
        "the same sequence as an earlier one": ["again"],
        "without a label": ["silent"],
        "labelled as none of the 6 lineages": ["omicron"],
        "another virus": ["foreign"],
        "less than 95% of its bases are the reference's": ["far"],
        "incomplete": ["holes"],
    }
    assert (record.num_records, record.num_kept) == (7, 1)


def test_nothing_usable_is_one_line_with_the_reasons(tmp_path, knowledge, text):
    with pytest.raises(InputError, match=r"no genome can be used.*2 without a label"):
        taken(tmp_path, knowledge, ("a", text), ("b", text))


def test_a_label_table_may_call_its_columns_as_the_field_does(tmp_path):
    table = tmp_path / "labels.tsv"
    table.write_text("id\tclass\tpango_lineage\ttree_date\ng1\tAlpha\tQ.1\t2021-07-08\n")
    label = read_labels([], table)["g1"]
    assert (label.text, label.pango, label.date) == ("Alpha", "Q.1", "2021-07-08")


def test_a_table_without_labels_is_refused_with_its_columns(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("name,color\ng1,red\n")
    with pytest.raises(InputError, match="got the columns name, color, expected a column 'name'"):
        read_labels([], table)


def test_a_reference_is_one_record_without_n(tmp_path):
    with pytest.raises(InputError, match="2 records, expected the reference genome alone"):
        read_reference(fasta(tmp_path, [("a", "ACGT"), ("b", "ACGT")]))
    with pytest.raises(InputError, match="holds 1 N"):
        read_reference(fasta(tmp_path, [("a", "ACGN")]))


def test_no_genome_is_in_two_parts_and_every_lineage_is_in_each(genomes):
    split = random_split(genomes, (6, 2, 3), seed=0)
    parts = [set(split.train), set(split.dev), set(split.test)]
    assert [len(part) for part in parts] == [36, 12, 18]
    assert len(set.union(*parts)) == 66
    assert all(len({genomes[i].lineage for i in part}) == 6 for part in parts)


def test_fewer_genomes_than_asked_for_are_shared_out_in_proportion(genomes):
    split = random_split(genomes, (60, 20, 40), seed=0)
    assert len(split.train) + len(split.dev) + len(split.test) == len(genomes)
    assert len(split.train) > len(split.test) > len(split.dev) >= 6


def test_later_genomes_test_and_none_of_them_is_as_early_as_the_cutoff(genomes):
    split = date_split(genomes, (4, 1, 3), seed=0)
    assert max(genomes[i].date for i in (*split.train, *split.dev)) <= split.cutoff
    assert min(genomes[i].date for i in split.test) > split.cutoff


def test_without_dates_there_is_no_split_by_date(genomes, tmp_path, knowledge, text):
    intake = taken(
        tmp_path, knowledge, *((f"g{i} {'Red' if i % 2 else 'Gray'}", changed(text, 300 + i)) for i in range(20))
    )
    assert date_split(intake.kept, (4, 1, 3), seed=0) is None


def test_a_single_lineage_is_nothing_to_compare(tmp_path, knowledge, text):
    intake = taken(tmp_path, knowledge, *((f"g{i} Red", changed(text, 300 + i)) for i in range(10)))
    with pytest.raises(InputError, match=r"two lineages with 6 or more.*Red 10"):
        random_split(intake.kept, (4, 1, 3), seed=0)
