"""How many pairs a vector needs: differences of known reliability, and vectors whose effect is planted."""

import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.errors import PairsError, SettingsError, UnknownNameError
from steerlens.evaluation import fewer_pairs
from steerlens.fingerprint import Fingerprint
from steerlens.plotting import pairs_figure
from steerlens.probing import split_halves
from steerlens.probing.split_halves import spearman_brown
from steerlens.steering import LOC, Contrast, PairDifferences, difference_of_means, pair_differences
from steerlens.testbed import Planted, planted

_WIDTH = 256


def _differences(size: float, n: int = 120, **more: torch.Tensor) -> PairDifferences:
    """Noise of one unit a coordinate, with a direction of a known size in it."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, _WIDTH, generator=generator, dtype=torch.float64)
    direction = torch.nn.functional.normalize(torch.randn(_WIDTH, generator=generator, dtype=torch.float64), dim=0)
    nobodys = Fingerprint("", "", "float32", "none", 4, _WIDTH, (), None, None)
    return PairDifferences(LOC, 2, {"es-ES": noise + size * direction, **more}, nobodys)


def test_halves_agree_as_far_as_there_is_a_direction() -> None:
    noise = split_halves(_differences(0.0), [60], halves=100).frame
    assert abs(noise["cosine"].item()) < 0.15
    found = split_halves(_differences(3.0), [60, 15, 30]).frame
    assert found["pairs"].tolist() == [15, 30, 60]
    assert found["predicted"].tolist() == pytest.approx(found["cosine"].tolist(), abs=0.06)
    known = [3.0**2 / (3.0**2 + _WIDTH / n) for n in (15, 30, 60)]  # share of the expected squared length that is the direction's
    assert found["cosine"].tolist() == pytest.approx(known, abs=0.06)
    assert found["length"].is_monotonic_decreasing
    assert spearman_brown(0.5, 2) == pytest.approx(2 / 3)  # by hand


def test_no_locale_is_asked_for_more_pairs_than_it_has() -> None:
    few = _differences(3.0, **{"ko-KR": torch.ones(8, _WIDTH, dtype=torch.float64)})
    found = split_halves(few, halves=5).frame
    assert found.groupby("locale", sort=False)["pairs"].apply(list).to_dict() == {"es-ES": [1, 2, 4], "ko-KR": [1, 2, 4]}
    assert found[found["locale"] == "ko-KR"]["cosine"].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert found["all"].unique().tolist() == [120, 8]
    assert split_halves(few, [100], halves=5).frame["pairs"].unique().tolist() == [4]  # the most that can be split
    with pytest.raises(PairsError, match="at least two pairs in every locale"):
        split_halves(_differences(3.0, n=1))
    with pytest.raises(PairsError, match="whole numbers of at least 1"):
        split_halves(few, [0, 2])


@pytest.fixture(scope="module")
def bed() -> Planted:
    return planted(3, locales=("es-ES",), concepts=40)


@pytest.fixture(scope="module")
def drawn(bed: Planted) -> PairDifferences:
    train = bed.items.split(seed=0).train
    return pair_differences(bed.model, LOC, bed.truth["es-ES"]["LOC"].layer, train)


def test_all_pairs_are_the_vector_itself(bed: Planted, drawn: PairDifferences) -> None:
    train = bed.items.split(seed=0).train
    (vector,) = drawn.vectors("es-ES", drawn.fewest, draws=3, seed=0)
    whole = difference_of_means(bed.model, train.localized_pairs("es-ES"))
    torch.testing.assert_close(vector.direction(drawn.layer), whole.direction(drawn.layer), atol=1e-5, rtol=1e-5)
    assert len(drawn.vectors("es-ES", 2, draws=3, seed=0)) == 3


def test_more_pairs_do_what_is_planted(bed: Planted, drawn: PairDifferences) -> None:
    test = bed.items.split(seed=0).test
    table = fewer_pairs(bed.model, test, drawn, 2.0, pairs=[1, 4], draws=2)
    assert table.frame["score"].unique().tolist() == ["localization", "localization_margin"]
    assert table.frame["pairs"].tolist() == [1, 4, drawn.fewest] * 2
    assert table.frame["draws"].tolist() == [2, 2, 1] * 2
    own = table.frame[table.frame["score"] == "localization"]
    assert own["concepts_low"].iloc[-1] > 0  # of all pairs: planted
    (vector,) = drawn.vectors("es-ES", drawn.fewest, 1, 0)
    plan = {"es-ES": vector.at(drawn.layer, 2.0)}
    by_hand = sl.evaluation.answered(bed.model, test.of(kind="cultural"), {"all": plan}, scores=["localization"])
    assert own["change"].iloc[-1] == pytest.approx(by_hand.compare("all", "unsteered", "localization").frame["change"].item())
    again = fewer_pairs(bed.model, test, drawn, 2.0, pairs=[1, 4], draws=2)
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_texts_of_ones_own_need_no_locale(bed: Planted) -> None:
    prompts = [prompt.text for prompt in bed.items.of(locale="es-ES", kind="factual").prompts(explicit=False)][:8]
    mine = Contrast.of("mine", list(zip(prompts[:4], prompts[4:], strict=True)))
    own = pair_differences(bed.model, mine, 3)
    test = bed.items.split(seed=0).test.sample(3)
    with pytest.raises(SettingsError, match="no score given, and contrast 'mine'"):
        fewer_pairs(bed.model, test, own)
    assert split_halves(own, halves=3).frame["locale"].unique().tolist() == [""]
    assert fewer_pairs(bed.model, test, own, score="transfer", pairs=[2], draws=1).frame["vector"].unique().tolist() == ["mine"]


def test_both_are_drawn(bed: Planted, drawn: PairDifferences) -> None:
    halves = split_halves(drawn, [1, 2], halves=5)
    effect = fewer_pairs(bed.model, bed.items.split(seed=0).test.sample(4), drawn, pairs=[1], draws=2)
    assert [trace.name for trace in halves.plot().data] == ["LOC", "LOC, predicted"]
    assert effect.plot().layout.yaxis.title.text == "change (nats per token)"
    shares = effect.plot("localization")
    assert shares.layout.yaxis.title.text == "change (points)"
    assert list(shares.data[0].y) == (100 * effect.frame["change"][:2]).tolist()
    both = pairs_figure(halves.frame, effect.frame[2:])
    assert [trace.showlegend for trace in both.data] == [True, False, False]
    with pytest.raises(UnknownNameError):
        effect.plot("transfer")
