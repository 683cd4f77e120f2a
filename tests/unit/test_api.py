from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import segbench
from segbench import api
from segbench.errors import ExperimentError

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path))
    monkeypatch.chdir(Path(segbench.__file__).parents[1])


def test_the_example_in_the_documentation_is_right() -> None:
    found = doctest.testmod(api, raise_on_error=True)
    assert (found.attempted, found.failed) == (5, 0)


def test_a_model_is_built_from_its_spec() -> None:
    model = api.build_model(
        {"unet": {"width": 4, "depth": 2}}, norm={"group": 2}, in_channels=1, out_channels=2
    )
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 2, 8, 8)
    assert {type(m).__name__ for m in model.modules()} >= {"GroupNorm"}
    assert sum(p.numel() for p in api.build_model("unet").parameters()) == 31_037_633


def test_a_loss_is_built_from_its_terms() -> None:
    logits, target = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    both = api.build_loss({"bce": 2, "dice": 1})(logits, target)
    bce, dice = api.build_loss("bce")(logits, target), api.build_loss("dice")(logits, target)
    torch.testing.assert_close(bce, torch.tensor(2.0).log())
    torch.testing.assert_close(both, 2 * bce + dice)


def test_mistakes_in_specs_are_named() -> None:
    with pytest.raises(ExperimentError, match="spec: there is no model of this name, got 'unett'"):
        api.build_model("unett")
    with pytest.raises(ExperimentError, match="norm: the norm group has no such knob, got 'grops'"):
        api.build_model("unet", norm={"group": {"grops": 2}})
    with pytest.raises(ExperimentError, match="spec: there is no loss of this name, got 'dise'"):
        api.build_loss({"dise": 1})


def test_an_experiment_is_loaded_at_a_scale() -> None:
    found = api.load_experiment("loss", scale="small", overrides=["epochs=2"])
    assert (found.name, found.baseline.epochs) == ("loss_small", 2)
    assert len(api.expand(found)) == 9
