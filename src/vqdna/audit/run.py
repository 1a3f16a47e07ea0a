"""The audit itself: tokenizers and genomes to one record, tokenizers side by side on the same windows.

Flow: genomes -> Windows -> for each tokenizer its positions -> usage, cost, sensitivity, stability, information,
motifs -> AuditResults -> results.json. It must not know how any of it is drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vqdna.audit.annotation import read_annotation
from vqdna.audit.compression import code_nats
from vqdna.audit.features import Feature, features_of
from vqdna.audit.information import feature_information, level_information, usage_of
from vqdna.audit.mixing import base_nats
from vqdna.audit.motifs import code_motifs, composition
from vqdna.audit.reading import Read, read_codes
from vqdna.audit.results import STAGE, AuditInput, AuditResults, BaseCosts, TokenizerAudit
from vqdna.audit.sampled_windows import Windows, draw_windows
from vqdna.audit.sensitivity import CHANGES_PER_WINDOW, MAX_CHANGES, draw_changes, sensitivity_of
from vqdna.audit.stability import reverse_complement_stability, shift_stability, shifts_for
from vqdna.errors import InputError
from vqdna.genome import Sequence as Contig
from vqdna.genome import read_sequences
from vqdna.quiet import is_watched
from vqdna.results import RESULTS_FILE, command_line, read_json, write_json
from vqdna.tokenizers import Tokenizer, load_tokenizer, tokenizer_name
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

SMALLEST_MARGIN = 24  # room for a logo and a 12-mer around a position, and for BPE's tokens to fall into step
MAX_SHIFT_WINDOWS = 64
KMER_SIZES = range(2, 13)


def run_audit(
    tokenizers: Sequence[str],
    *,
    genomes: Sequence[Path],
    out: Path,
    annotation: Path | None = None,
    num_windows: int = 256,
    window: int = 512,
    kmer: int = 6,
    seed: int = 0,
) -> AuditResults:
    """Record of the audit, also written to `out/results.json`.

    Args:
        tokenizers: specs as `load_tokenizer` takes them; the first is the one under audit.
        genomes: FASTA or FASTQ files.
        out: folder of the results; an earlier audit there is replaced.
        annotation: GFF3, GTF or BED of the genomes' sequences.
        num_windows: most windows to look at; 0 takes all of the input.
        window: bases of a window.
        kmer: bases of the k-mers that describe a code, 2 to 12.
        seed: of the choice of windows and of the changed bases.

    Raises:
        InputError: no vocabulary, an untrained one, sequences or an annotation at fault, or no room in `out`.
    """
    started = time.monotonic()
    if kmer not in KMER_SIZES or num_windows < 0:
        raise InputError(f"audit: got --kmer {kmer} and --windows {num_windows}, wanted a k of 2 to 12 and 0 or more")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        held = out / RESULTS_FILE
        if not held.is_file() or read_json(held).get("stage") != STAGE:
            raise InputError(f"{out}: is not empty and holds no audit; choose another --out")
    loaded = [(spec, load_tokenizer(spec).eval()) for spec in tokenizers]
    contigs = tuple(contig for file in genomes for contig in read_sequences(file, keep_soft_mask=True))
    notes = read_annotation(annotation, contigs) if annotation else None
    margin = max(SMALLEST_MARGIN, *(tokenizer.context_bases for _, tokenizer in loaded))
    windows = draw_windows(contigs, size=window, margin=margin, num_windows=num_windows, seed=seed)
    features = features_of(windows, notes.tracks if notes else {})
    columns = (
        TextColumn("audit {task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    audits = []
    with Progress(*columns, console=Console(stderr=True), disable=not is_watched()) as progress:
        task = progress.add_task("", total=sum(_planned_bases(windows, tokenizer) for _, tokenizer in loaded))
        for spec, tokenizer in loaded:
            name = tokenizer_name(tokenizer)

            def now(what: str, name: str = name) -> None:
                progress.update(task, description=f"{name}: {what}")

            read = partial(read_codes, tokenizer, on_bases=lambda num_bases: progress.advance(task, num_bases))
            audits.append(_audit_one(spec, tokenizer, read, windows, features, now, kmer, seed))
    if len({audit.name for audit in audits}) < len(audits):  # of one name: they get the last part of their spec behind
        names = [f"{audit.name} {number} ({Path(audit.spec).name})" for number, audit in enumerate(audits, 1)]
        audits = [audit.model_copy(update={"name": name}) for audit, name in zip(audits, names, strict=True)]
    results = AuditResults(
        command=command_line(),
        seed=seed,
        input=AuditInput(
            files=[str(path) for path in genomes],
            num_sequences=len(contigs),
            num_bases=sum(len(contig.base_ids) for contig in contigs),
            num_ambiguous=sum(contig.num_ambiguous for contig in contigs),
            soft_masked=any(contig.soft_masked is not None and contig.soft_masked.any() for contig in contigs),
            num_windows=len(windows),
            num_possible_windows=windows.num_tiles,
            whole_input=len(windows) == windows.num_tiles,
            window=windows.size,
            margin=windows.margin,
            num_counted_bases=len(windows) * (windows.size - 2 * windows.margin),
            annotation=str(annotation) if annotation else None,
            num_features=notes.num_features if notes else None,
            num_features_elsewhere=notes.num_elsewhere if notes else None,
        ),
        bases=_base_costs(contigs, windows),
        tokenizers=audits,
        seconds=round(time.monotonic() - started, 1),
    )
    write_json(out / RESULTS_FILE, results.model_dump(mode="json"))
    return results


def _planned_bases(windows: Windows, tokenizer: Tokenizer) -> int:
    num_shifts = len(shifts_for(tokenizer.bases_per_position))
    changes = min(CHANGES_PER_WINDOW * len(windows), MAX_CHANGES) * 2 * (4 * windows.margin + 1)
    return (2 * len(windows) + num_shifts * min(len(windows), MAX_SHIFT_WINDOWS)) * windows.size + changes


def _audit_one(
    spec: str,
    tokenizer: Tokenizer,
    read: Read,
    windows: Windows,
    features: Sequence[Feature],
    now: Callable[[str], None],
    kmer: int,
    seed: int,
) -> TokenizerAudit:
    level_sizes = tokenizer.level_sizes
    now("codes")
    positions = read(windows.base_ids).between(windows.margin, windows.size - windows.margin)
    if not len(positions):
        raise InputError(f"tokenizer '{spec}': no position lies within a window of {windows.size}; raise --window")
    now("single-base changes")
    stride = max(1, round(tokenizer.bases_per_position))
    sensitivity = sensitivity_of(read, draw_changes(windows, stride, seed))
    now("other strand")
    strands, partners = reverse_complement_stability(read, windows, positions)
    now("shifts")
    shifts = shifts_for(tokenizer.bases_per_position)
    shift = shift_stability(read, windows, positions, shifts, min(len(windows), MAX_SHIFT_WINDOWS))
    now("information")
    return TokenizerAudit(
        name=tokenizer_name(tokenizer),
        spec=spec,
        kind=tokenizer.kind,
        level_sizes=list(level_sizes),
        context_bases=tokenizer.context_bases,
        usage=usage_of(positions, level_sizes),
        nats_per_base=code_nats(positions, level_sizes),
        sensitivity=sensitivity,
        shift=shift,
        reverse_complement=strands,
        information=[feature_information(positions, feature, seed) for feature in features],
        between_levels=level_information(positions),
        codes=[
            code_motifs(windows, positions, level, k=kmer, partners=partners[level])
            for level in range(len(level_sizes))
        ],
    )


def _base_costs(contigs: Sequence[Contig], windows: Windows) -> BaseCosts:
    """Cost of the bases themselves; `order_2` under the very model and windows that price the codes."""
    tokenizer = NucleotideTokenizer()
    positions = read_codes(tokenizer, windows.base_ids).between(windows.margin, windows.size - windows.margin)
    return BaseCosts(
        **base_nats([contig.base_ids for contig in contigs]).model_dump(),
        order_2=code_nats(positions, tokenizer.level_sizes).total,
        composition=composition(windows).tolist(),
    )
