import pytest
import torch

from vqdna.vocabulary import codebook as codebook_module
from vqdna.vocabulary.codebook import Codebook, UntrainedCodebookError, kmeans, nearest_codes, smoothed_counts


def trained(size=4, width=2, **options):
    book = Codebook(size, width, **options)
    book.code_vectors.copy_(torch.arange(size * width, dtype=torch.float32).view(size, width))
    book.ema_counts.fill_(10.0)
    book.ema_sums.copy_(book.code_vectors * 10)
    book.is_initialized.fill_(True)
    return book


def test_nearest_code_by_hand():
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    latents = torch.tensor([[0.4, 0.0], [0.6, 0.0], [0.0, 1.6], [5.0, 5.0]])
    # the last one has squared distances 50, 41 and 29
    assert nearest_codes(latents, vectors).tolist() == [0, 1, 2, 2]


def test_ties_go_to_the_lowest_code():
    assert nearest_codes(torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_nearest_codes_agree_with_the_distance_matrix(seed):
    generator = torch.Generator().manual_seed(seed)
    rows, size, width = (int(n) for n in torch.randint(1, 60, (3,), generator=generator))
    latents = torch.randn(rows, width, generator=generator)
    vectors = torch.randn(size, width, generator=generator)
    slow = torch.cdist(latents.double(), vectors.double()).argmin(dim=1)
    assert torch.equal(nearest_codes(latents, vectors), slow)


def test_slices_give_the_same_codes_as_one_matrix(monkeypatch):
    latents, vectors = torch.randn(100, 8), torch.randn(7, 8)
    whole = nearest_codes(latents, vectors)
    monkeypatch.setattr(codebook_module, "MAX_DISTANCE_ENTRIES", 7 * 9)
    assert torch.equal(nearest_codes(latents, vectors), whole)


def test_search_holds_no_more_distances_than_the_bound(monkeypatch):
    """What is allocated at a time, counted in bytes by the profiler: the distances of one slice besides the codes."""
    latents, vectors = torch.randn(3000, 4), torch.randn(50, 4)
    monkeypatch.setattr(codebook_module, "MAX_DISTANCE_ENTRIES", 50 * 20)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        nearest_codes(latents, vectors)
    allocated = sum(event.self_cpu_memory_usage for event in profile.events() if event.self_cpu_memory_usage > 0)
    assert allocated <= 4 * 50 * 20 + 8 * 3000 + 2 * vectors.nbytes + 4096


def test_half_precision_latents_are_searched_in_float32():
    vectors = torch.tensor([[1.0], [1.0009]])  # one bfloat16 number for both
    assert nearest_codes(torch.tensor([[1.0078125]], dtype=torch.bfloat16), vectors).tolist() == [1]


def test_no_latents_have_no_codes():
    assert nearest_codes(torch.zeros(0, 3), torch.zeros(2, 3)).shape == (0,)


def test_an_untrained_codebook_refuses_to_encode():
    with pytest.raises(UntrainedCodebookError, match="never been trained"):
        Codebook(4, 2).encode(torch.zeros(1, 2))


def test_kmeans_finds_well_separated_centers():
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    rows = centers.repeat(50, 1) + 0.1 * torch.randn(150, 2)
    # Lloyd from random rows may start twice in one cluster; some seed of a few must find all three.
    best = min(
        (kmeans(rows, 3, 20, torch.Generator().manual_seed(seed)) for seed in range(5)),
        key=lambda found: float(torch.cdist(centers, found[0]).min(dim=1).values.max()),
    )
    assert torch.cdist(centers, best[0]).min(dim=1).values.max() < 0.2
    assert best[1].sum() == 150


def test_kmeans_with_fewer_rows_than_centers_gives_distinct_centers():
    centers, _ = kmeans(torch.randn(3, 4), 8, 0, torch.Generator().manual_seed(0))
    assert len(torch.unique(centers, dim=0)) == 8


def test_initialization_happens_once_and_from_the_latents():
    book = Codebook(4, 2)
    rows = torch.randn(64, 2) + 5
    book.initialize(rows)
    first = book.code_vectors.clone()
    assert (first > 0).all()
    book.initialize(rows - 100)
    assert torch.equal(book.code_vectors, first)


def test_ema_step_by_hand():
    book = trained(size=2, width=1, decay=0.9, dead_code_threshold=0.0)  # vectors 0 and 1, counts 10
    book.observe(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]))
    book.update()
    # counts: 0.9 * 10 + 0.1 * (2, 1); sums: 0.9 * (0, 10) + 0.1 * (4, 5)
    assert torch.allclose(book.ema_counts, torch.tensor([9.2, 9.1]))
    assert torch.allclose(book.ema_sums.flatten(), torch.tensor([0.4, 9.5]))
    assert torch.allclose(book.code_vectors.flatten(), torch.tensor([0.4 / 9.2, 9.5 / 9.1]), atol=1e-5)


def test_smoothing_keeps_the_total():
    counts = torch.tensor([0.0, 3.0, 5.0])
    assert torch.isclose(smoothed_counts(counts).sum(), counts.sum())
    assert (smoothed_counts(counts) > 0).all()


def test_two_observations_before_an_update_count_as_their_concatenation():
    latents, codes = torch.randn(20, 2), torch.randint(0, 4, (20,))
    whole, halves = trained(dead_code_threshold=0.0), trained(dead_code_threshold=0.0)
    whole.observe(latents, codes)
    halves.observe(latents[:7], codes[:7])
    halves.observe(latents[7:], codes[7:])
    whole.update()
    halves.update()
    assert torch.allclose(whole.code_vectors, halves.code_vectors, atol=1e-6)
    assert torch.allclose(whole.ema_counts, halves.ema_counts)


def test_update_without_observation_changes_nothing():
    book = trained()
    before = {name: value.clone() for name, value in book.state_dict().items()}
    book.update()
    assert all(torch.equal(before[name], value) for name, value in book.state_dict().items())


def test_a_dead_code_moves_onto_a_latent_and_all_its_buffers_are_reset():
    book = trained(dead_code_threshold=1.0)
    book.ema_counts[2] = 0.001
    latents = 100 + torch.randn(9, 2)
    book.observe(latents, torch.zeros(9, dtype=torch.long))
    book.update()
    assert any(torch.equal(book.code_vectors[2], latent) for latent in latents)
    assert book.ema_counts[2] == 1.0
    assert torch.equal(book.ema_sums[2], book.code_vectors[2])


def drifted(book, updates=200):
    """Codes of the last of 200 batches whose latents leave a small ball and spread over many clusters."""
    generator = torch.Generator().manual_seed(0)
    clusters = 8 * torch.randn(4 * book.size, 16, generator=generator)
    for update in range(updates):
        spread = min(1.0, update / 50)
        rows = clusters[torch.randint(len(clusters), (512,), generator=generator)]
        latents = spread * (rows + 8) + 0.3 * torch.randn(rows.shape, generator=generator)
        book.initialize(latents)
        codes = book.encode(latents)
        book.observe(latents, codes)
        book.update()
    return codes


def test_a_warmed_up_decay_keeps_codes_alive_while_latents_drift():
    fixed, warmed = (drifted(Codebook(64, 16, warm_up_decay=warms)) for warms in (False, True))
    assert len(fixed.unique()) < 0.3 * 64
    assert len(warmed.unique()) > 0.9 * 64


def test_warmed_up_decay_by_hand():
    book = trained(size=2, width=1, decay=0.5, warm_up_decay=True, dead_code_threshold=0.0)  # counts 10
    for expected in (0.1 * 10 + 0.9 * 1, 2 / 11 * 1.9 + 9 / 11 * 1):
        book.observe(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]))
        book.update()
        assert torch.allclose(book.ema_counts, torch.full((2,), expected))
    book.num_updates.fill_(1000)
    book.observe(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]))
    before = book.ema_counts.clone()
    book.update()
    assert torch.allclose(book.ema_counts, 0.5 * before + 0.5)


def test_dead_codes_are_revived_from_all_passes_alike():
    """Over many seeds the revived code lands on rows of the first pass as often as its share of the batch says."""
    rows = torch.arange(20.0)[:, None].repeat(1, 2)
    landed = []
    for seed in range(200):
        book = trained(dead_code_threshold=1.0, seed=seed)
        book.ema_counts[2] = 0.0
        for part in rows.split(5):
            book.observe(part, torch.zeros(len(part), dtype=torch.long))
        book.update()
        landed.append(float(book.code_vectors[2, 0]))
    assert 0.15 < sum(row < 5 for row in landed) / 200 < 0.35


def test_gathered_passes_start_the_codebook_of_their_concatenation():
    rows = torch.randn(90, 2)
    whole, cut = Codebook(4, 2), Codebook(4, 2)
    whole.initialize(rows)
    cut.gather()
    for part in rows.split(40):
        cut.initialize(part)
        assert cut.encode(part).tolist() == [0] * len(part)
        cut.observe(part, cut.encode(part))
    cut.start()
    assert torch.equal(cut.code_vectors, whole.code_vectors)
    before = cut.ema_counts.clone()
    cut.update()
    assert torch.equal(cut.ema_counts, before)


def test_codes_are_chosen_in_float32_under_autocast():
    book = trained(size=2, width=1)
    book.code_vectors.copy_(torch.tensor([[1.0], [1.0009]]))  # one bfloat16 number for both
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert book.encode(torch.tensor([[1.001], [0.999]])).tolist() == [1, 0]


def test_state_dict_round_trip_keeps_the_codes():
    book, other = trained(), Codebook(4, 2)
    other.load_state_dict(book.state_dict())
    latents = torch.randn(30, 2) * 4
    assert torch.equal(book.encode(latents), other.encode(latents))


def test_farthest_revival_gives_rare_latents_a_code_of_their_own():
    places = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    rows = places.repeat_interleave(torch.tensor([500, 300, 198, 2]), dim=0)
    learned = {}
    for revival in ("random", "farthest"):
        book = Codebook(4, 2, decay=0.5, revival=revival)
        book.initialize(rows[:998])  # the rare place is not among what the codebook starts from
        for _ in range(8):
            book.observe(rows, book.encode(rows))
            book.update()
        learned[revival] = len(book.encode(places).unique())
    assert learned["farthest"] == 4
