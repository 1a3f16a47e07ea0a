"""What one window costs a system: memory foreseen before anything runs, time and peak memory measured afterwards.

Flow: system + lengths -> a process of its own, one thread -> seconds and bytes of one random window of each length, at
most; and shapes of a system -> bytes foreseen. Weights and libraries are counted apart, for they do not grow. It must
not know genomes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from vqdna.devices import memory_status, peak_memory, reset_peak_memory
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.long_rows import CHUNK_TOKENS
from vqdna.errors import InputError
from vqdna.results import read_json, write_json
from vqdna.studies.species.features import (
    ENCODER_BASES,
    HAND_MADE_TILE_BASES,
    LONGEST_WORD,
    TILE_BASES,
    EncoderFeatures,
    SpeciesFeatures,
    TokenFeatures,
)
from vqdna.studies.species.results import SystemCosts, WindowCost
from vqdna.studies.species.systems import SystemSpec
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import TILES_AT_A_TIME

LEAST_MEASURED_SECONDS = 0.3
MOST_REPEATS = 5
NUM_WORDS = 4096  # of six bases
WARM_UP_BASES = 1000
TRAINING_BATCH = 32
FLOAT, WORD = 4, 8  # bytes


def run_bytes(system: SpeciesFeatures, length: int, num_bases: int, num_windows: int) -> int:
    """Bytes that a run takes beyond weights and libraries.

    That is the tokens of a set of `num_bases`, a window, and the representations of all windows while a classifier is
    fitted: as read, standardized and cast.
    """
    held, width = 0, NUM_WORDS
    if isinstance(system, EncoderFeatures):
        width = 2 * int(system.encoder.config.hidden_size)
    elif isinstance(system, TokenFeatures):
        sizes = system.tokenizer.level_sizes
        code_bytes = 2 if max(sizes) <= np.iinfo(np.int16).max else 4
        held = int(num_bases / system.tokenizer.bases_per_position * (code_bytes * len(sizes) + 2 * FLOAT))
        width = sum(sizes)
    return held + foreseen_bytes(system, length) + 3 * WORD * width * num_windows


def foreseen_bytes(system: SpeciesFeatures, length: int) -> int:
    """Bytes that one window of `length` takes beyond weights and libraries, at the largest moment."""
    if isinstance(system, EncoderFeatures):
        return _encoder_bytes(system.encoder, length if length <= system.whole_bases else min(length, ENCODER_BASES))
    if isinstance(system, TokenFeatures):
        return _tokenizer_bytes(system.tokenizer, length)
    return length * 4 * FLOAT + NUM_WORDS * WORD * LONGEST_WORD  # codes and masks; the spectra


def training_bytes(system: SpeciesFeatures, length: int) -> int:
    """Bytes that fine-tuning an encoder on windows of `length` takes: what a batch keeps for its backward pass."""
    if not isinstance(system, EncoderFeatures):
        return 0
    layers = int(system.encoder.config.backbone.get("num_hidden_layers", 12))
    return TRAINING_BATCH * layers * _encoder_bytes(system.encoder, length)


def _tokenizer_bytes(tokenizer: Tokenizer, length: int) -> int:
    """Tokens of the window, and what reading one batch of tiles takes."""
    tokens = length / tokenizer.bases_per_position
    levels = len(tokenizer.level_sizes)
    kept = tokens * (2 * WORD * levels + 2 * WORD)
    if tokenizer.vector_size is None:
        tile = min(length, HAND_MADE_TILE_BASES) / tokenizer.bases_per_position
        return int(kept + tile * (16 * WORD + (16 * WORD if tokenizer.kind == "bpe" else 0)))
    settings = tokenizer.settings()["vocabulary"]
    width, expansion = int(tokenizer.vector_size), int(settings.get("expansion", 4))
    tile = min(length, TILE_BASES * TILES_AT_A_TIME) + 2 * TILES_AT_A_TIME * tokenizer.context_bases
    if settings.get("views"):  # looked up in tables
        return int(kept + tile * levels * 8 * WORD)
    scores = max(tokenizer.level_sizes) * FLOAT
    return int(kept + tile * (width * FLOAT * (2 * expansion + 4) + scores))


def _encoder_bytes(encoder: GenomeEncoder, length: int) -> int:
    """Codes and hidden states of the window, and what a chunk takes on its way through one layer."""
    backbone, tokens = encoder.config.backbone, length / encoder.tokenizer.bases_per_position
    width = int(encoder.config.hidden_size)
    inner = int(backbone.get("intermediate_size") or 4 * width)
    codes = tokens * 2 * WORD * len(encoder.tokenizer.level_sizes)
    states = tokens / encoder.merge * width * FLOAT * 3
    chunk = tokens if encoder.reach is None else min(tokens, CHUNK_TOKENS + 2 * encoder.reach)
    through = chunk / encoder.merge * FLOAT * (10 * width + 3 * inner)
    embedded = min(tokens, CHUNK_TOKENS) * encoder.token_width * FLOAT * 4
    return int(codes + states + through + embedded + _tokenizer_bytes(encoder.tokenizer, length))


def available_bytes() -> int | None:
    """Memory that this process may still take; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max")
        text = limit.read_text().strip() if limit.is_file() else "max"
        return free if text == "max" else min(free, int(text))
    return None


def known_costs(path: Path, spec: SystemSpec, lengths: Sequence[int], most_seconds: float) -> dict[int, WindowCost]:
    """Cost of a window of each length, from the JSON file of a system or measured and written there.

    A length that by the one before would take longer than `most_seconds` is not measured.
    """
    held = SystemCosts(system=spec.name, source=spec.source)
    if path.is_file():
        held = SystemCosts.model_validate(read_json(path))
        if held.source != spec.source:
            raise InputError(f"{path}: costs of another '{spec.name}' ({held.source}); choose another --out")
    costs = dict(held.lengths)
    wanted = [length for length in sorted(lengths) if length not in costs]
    if wanted:
        costs |= measure_costs(spec, wanted, most_seconds)
        write_json(path, held.model_copy(update={"lengths": dict(sorted(costs.items()))}).to_json())
    return {length: costs[length] for length in sorted(lengths) if length in costs}


def measure_costs(spec: SystemSpec, lengths: Sequence[int], most_seconds: float) -> dict[int, WindowCost]:
    """Processor seconds of one window on one thread, and its peak memory, by length; measured in a process of its own.

    Raises:
        InputError: the process ended without a result, as one that the memory did not suffice for.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(spec, sorted(lengths), most_seconds, sender), daemon=True)
    process.start()
    sender.close()
    costs: dict[int, WindowCost] = {}
    with contextlib.suppress(EOFError):
        while True:
            length, cost = receiver.recv()
            costs[length] = cost
    process.join()
    if process.exitcode and not costs:
        raise InputError(f"system '{spec.name}': the measurement of its cost ended with code {process.exitcode}")
    return costs


def _measure(spec: SystemSpec, lengths: Sequence[int], most_seconds: float, sender: Connection) -> None:
    """Sends (length, cost) of each length, shortest first; each at once, for a longer one may end the process."""
    torch.set_num_threads(1)
    system = spec.features()
    random = np.random.default_rng(0)
    system.of_bases(random.integers(0, 4, WARM_UP_BASES).astype(np.uint8))
    base, limit = memory_status("VmRSS"), system.positions_limit()
    seconds_per_base = 0.0
    for length in lengths:
        if (limit is not None and length > limit) or seconds_per_base * length > most_seconds:
            break
        cost = _cost_of(system, random.integers(0, 4, length).astype(np.uint8), base)
        seconds_per_base = (cost.seconds or 0.0) / length
        sender.send((length, cost))
    sender.close()


def _cost_of(system: SpeciesFeatures, window: np.ndarray, base: int | None) -> WindowCost:
    reset_peak_memory()  # the peak is counted from here
    seconds: list[float] = []
    while len(seconds) < MOST_REPEATS and sum(seconds) < LEAST_MEASURED_SECONDS:
        started = time.process_time()  # one thread; what else the machine does must not count
        system.of_bases(window)
        seconds.append(time.process_time() - started)
    peak = peak_memory()
    return WindowCost(
        seconds=min(seconds),
        bases_per_second=len(window) / min(seconds),
        peak_bytes=peak,
        window_bytes=None if base is None else max(0, peak - base),
        foreseen_bytes=foreseen_bytes(system, len(window)),
    )
