"""The audit itself: tokenizers and genomes to one record, tokenizers side by side on the same windows.

Flow: genomes -> Windows -> for each tokenizer its positions -> usage, cost, sensitivity, stability, information,
portraits -> results.json. It must not know how any of it is drawn.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqdna.audit.annotation import Annotation, read_annotation
from vqdna.audit.compression import code_nats
from vqdna.audit.features import Feature, features_of
from vqdna.audit.information import feature_information, level_information
from vqdna.audit.mixing import base_nats
from vqdna.audit.portraits import composition, portraits
from vqdna.audit.progress_bar import AuditProgress
from vqdna.audit.reading import CodeReader
from vqdna.audit.sampled_windows import Windows, draw_windows, read_contigs
from vqdna.audit.sensitivity import CHANGES_PER_WINDOW, MAX_CHANGES, draw_changes, sensitivity_of
from vqdna.audit.stability import reverse_complement_stability, shift_stability, shifts_for
from vqdna.audit.usage import usage_of
from vqdna.errors import InputError
from vqdna.genome import Sequence as Contig
from vqdna.results import RESULTS_FILE, command_line, read_json, write_json
from vqdna.tokenizers import Tokenizer, load_tokenizer, tokenizer_name
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

STAGE = "audit"
SMALLEST_MARGIN = 24  # room for a logo and a 12-mer around a position, and for BPE's words to fall into step
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
) -> dict[str, Any]:
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
    check_out(out)
    loaded = [(spec, load_tokenizer(spec).eval()) for spec in tokenizers]
    contigs = read_contigs(genomes)
    notes = read_annotation(annotation, contigs) if annotation else None
    margin = max(SMALLEST_MARGIN, *(tokenizer.context_bases for _, tokenizer in loaded))
    windows = draw_windows(contigs, size=window, margin=margin, num_windows=num_windows, seed=seed)
    features = features_of(windows, notes.tracks if notes else {})
    with AuditProgress(sum(planned_bases(windows, tokenizer) for _, tokenizer in loaded)) as progress:
        records = [_audit_one(spec, tokenizer, windows, features, progress, kmer, seed) for spec, tokenizer in loaded]
    results = {
        "stage": STAGE,
        "command": command_line(),
        "seed": seed,
        "input": _input_record(genomes, contigs, windows, annotation, notes),
        "bases": _base_record(contigs, windows),
        "tokenizers": _distinctly_named(records),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(out / RESULTS_FILE, results)
    return results


def check_out(out: Path) -> None:
    """Refuses a folder that holds something else than an audit.

    Raises:
        InputError: it does, or it is a file.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    results = out / RESULTS_FILE
    if not results.is_file() or read_json(results).get("stage") != STAGE:
        raise InputError(f"{out}: is not empty and holds no audit; choose another --out")


def planned_bases(windows: Windows, tokenizer: Tokenizer) -> int:
    """About how many bases the tokenizer will read."""
    num_shifts = len(shifts_for(tokenizer.bases_per_position))
    changes = min(CHANGES_PER_WINDOW * len(windows), MAX_CHANGES) * 2 * (4 * windows.margin + 1)
    return (2 * len(windows) + num_shifts * min(len(windows), MAX_SHIFT_WINDOWS)) * windows.size + changes


def _audit_one(
    spec: str,
    tokenizer: Tokenizer,
    windows: Windows,
    features: Sequence[Feature],
    progress: AuditProgress,
    kmer: int,
    seed: int,
) -> dict[str, Any]:
    """Record of one tokenizer."""
    name = tokenizer_name(tokenizer)
    reader = CodeReader(tokenizer, progress.advance)
    progress.describe(f"{name}: codes")
    positions = reader.read(windows.base_ids).between(windows.margin, windows.size - windows.margin)
    if not len(positions):
        raise InputError(f"tokenizer '{spec}': no position lies within a window of {windows.size}; raise --window")
    progress.describe(f"{name}: single-base changes")
    stride = max(1, round(tokenizer.bases_per_position))
    sensitivity = sensitivity_of(reader, draw_changes(windows, stride, seed))
    progress.describe(f"{name}: other strand")
    strands, partners = reverse_complement_stability(reader, windows, positions)
    progress.describe(f"{name}: shifts")
    shifts = shifts_for(tokenizer.bases_per_position)
    shift = shift_stability(reader, windows, positions, shifts, min(len(windows), MAX_SHIFT_WINDOWS))
    progress.describe(f"{name}: information")
    return {
        "name": name,
        "spec": spec,
        "kind": tokenizer.kind,
        "level_sizes": list(tokenizer.level_sizes),
        "context_bases": tokenizer.context_bases,
        "usage": usage_of(positions, tokenizer.level_sizes),
        "nats_per_base": code_nats(positions, tokenizer.level_sizes),
        "sensitivity": sensitivity,
        "shift": shift,
        "reverse_complement": strands,
        "information": [feature_information(positions, feature, seed) for feature in features],
        "between_levels": level_information(positions),
        "codes": [
            portraits(windows, positions, level, k=kmer, partners=partners[level])
            for level in range(len(tokenizer.level_sizes))
        ],
    }


def _distinctly_named(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records whose names differ: two of the same name get the last part of their spec behind it."""
    names = [record["name"] for record in records]
    if len(set(names)) < len(names):
        for number, record in enumerate(records, 1):
            record["name"] = f"{record['name']} {number} ({Path(record['spec']).name})"
    return records


def _input_record(
    genomes: Sequence[Path],
    contigs: Sequence[Contig],
    windows: Windows,
    annotation: Path | None,
    notes: Annotation | None,
) -> dict[str, Any]:
    """What was looked at."""
    return {
        "files": [str(path) for path in genomes],
        "num_sequences": len(contigs),
        "num_bases": sum(len(contig.base_ids) for contig in contigs),
        "num_ambiguous": sum(contig.num_ambiguous for contig in contigs),
        "soft_masked": any(contig.soft_masked is not None and contig.soft_masked.any() for contig in contigs),
        "num_windows": len(windows),
        "num_possible_windows": windows.num_tiles,
        "whole_input": windows.is_whole_input,
        "window": windows.size,
        "margin": windows.margin,
        "num_counted_bases": len(windows) * (windows.size - 2 * windows.margin),
        "annotation": str(annotation) if annotation else None,
        "num_features": notes.num_features if notes else None,
        "num_features_elsewhere": notes.num_elsewhere if notes else None,
    }


def _base_record(contigs: Sequence[Contig], windows: Windows) -> dict[str, Any]:
    """Cost of the bases themselves; `order_2` under the very model and windows that price the codes."""
    tokenizer = NucleotideTokenizer()
    positions = CodeReader(tokenizer).read(windows.base_ids).between(windows.margin, windows.size - windows.margin)
    order_2 = code_nats(positions, tokenizer.level_sizes)["total"]
    costs = base_nats([contig.base_ids for contig in contigs])
    return {**costs, "order_2": order_2, "composition": composition(windows).tolist()}
