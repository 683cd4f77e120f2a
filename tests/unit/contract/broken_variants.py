"""One variant for every check that breaks it: axis -> check -> (source, words of the reason)."""

from __future__ import annotations

HEAD = "import torch\nfrom torch import nn, optim\n\nvariant = lambda f=None, **k: f if f else variant\n\n"


def _net(
    init: str = "", forward: str = "return self.c(x)", mark: str = "@variant", inputs: str = "in_channels"
) -> str:
    return f"""
class Net(nn.Module):
    def __init__(self, in_channels, out_channels, norm):
        super().__init__()
        self.c = nn.Conv2d({inputs}, out_channels, 3, padding=1)
        {init}
    def forward(self, x):
        {forward}

{mark}
def thing(in_channels, out_channels, norm, *, width: int = 4):
    return Net(in_channels, out_channels, norm)
"""


def _layer(forward: str, init: str = "pass") -> str:
    return f"""
class Layer(nn.Module):
    def __init__(self, n):
        super().__init__()
        {init}
    def forward(self, x):
        {forward}

@variant
def thing(channels): return Layer(channels)
"""


def _loss(expression: str, attributes: str = "pass", valid: str = "") -> str:
    return f"""
class Loss(nn.Module):
    {attributes}
    def forward(self, logits, target{valid}):
        bce = nn.functional.binary_cross_entropy_with_logits
        return {expression}

@variant
def thing(): return Loss()
"""


def _optimizer(body: str, knobs: str = "lr: float = 0.01") -> str:
    return f"@variant\ndef thing(parameters, *, {knobs}):\n    {body}\n"


def _mix(body: str, before: str = "pass") -> str:
    return f"""
@variant
def thing():
    {before}
    def mix(images, target, valid, seed):
        {body}
    return mix
"""


def _augment(body: str) -> str:
    """Return an augmentation whose function has this body."""
    return (
        "import numpy as np\n\n\n@variant\ndef thing():\n    '''Do it.'''\n    return change\n\n\n"
        f"def change(image, mask, seed):\n    {body}\n"
    )


_NO_STATE = """
class Opt(optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {'lr': lr})
        self.steps = 0
    @torch.no_grad()
    def step(self):
        self.steps += 1
        for group in self.param_groups:
            for p in group['params']:
                p -= group['lr'] * p.grad / self.steps

"""
_STUBBORN = _NO_STATE.replace("group['lr'] * p.grad / self.steps", "0.01 * p.grad")

BROKEN: dict[str, dict[str, tuple[str, str]]] = {
    "augment": {
        "keeps_size_and_type": (
            _augment("return image[:-1], mask"),
            "(32, 32, 3) uint8 becomes (31, 32, 3) uint8",
        ),
        "moves_image_and_mask_together": (
            _augment("return image[:, ::-1], mask"),
            "are image and mask drawn apart?",
        ),
        "draws_differ_between_seeds": (
            _augment("return image // 2, mask"),
            "all of 40 seeds give the same pixels",
        ),
        "draws_from_the_seed_alone": (
            _augment("return (image, mask) if np.random.random() < 0.5 else (image[::-1], mask[::-1])"),
            "gives other pixels the second time",
        ),
        "leaves_its_arguments_alone": (
            _augment("image[0] = 0; return image, mask"),
            "read-only",
        ),
        "leaves_the_generators_of_the_process_alone": (
            _augment(
                "torch.manual_seed(seed); return (image, mask) if torch.rand(()) < 0.5 else (image, mask)"
            ),
            "with seed 0 a global generator changed",
        ),
    },
    "declaration": {
        "takes_the_runtime_objects": (
            "@variant\ndef thing(n, m): pass\n",
            "expected (channels, *, ...), got (n, m,",
        ),
        "says_what_it_is": ("@variant\ndef thing(n): pass\n", "thing has no docstring"),
        "knobs_are_documented": (
            "@variant\ndef thing(n, *, k: int = 1): pass\n",
            "knob k is missing under `Args:`",
        ),
        "knobs_are_typed": (
            "@variant\ndef thing(n, *, k: int = 0.5): pass\n",
            "default: k must be a whole number, got 0.5",
        ),
        "loads": (
            "import not_there\n@variant\ndef thing(n): pass\n",
            "No module named 'not_there' (thing.py:",
        ),
    },
    "model": {
        "declares_its_size_multiple": (
            _net("self.size_multiple = 2", mark="@variant(size_multiple=4)"),
            "the decorator says 4, the network says 2",
        ),
        "emits_a_map_of_logits": (
            _net(forward="return self.c(x)[:, :, ::2]"),
            "must have the shape (1, 1, 64, 64), got (1, 1, 32, 64)",
        ),
        "reaches_every_parameter": (_net("self.d = nn.Linear(2, 2)"), "d.weight has no gradient"),
        "is_repeatable_in_evaluation": (
            _net(forward="return self.c(x) * nn.Conv2d(1, 1, 1).weight"),
            "are parameters made inside forward?",
        ),
        "treats_images_alone": (_net(forward="return self.c(x - x.mean())"), "an image alone and in a batch"),
        "emits_logits_not_probabilities": (
            _net(forward="return torch.sigmoid(self.c(x))"),
            "could not push the mean output below 0",
        ),
        "saves_and_loads": (
            _net("self.s = torch.rand(1)", "return self.c(x) + self.s"),
            "logits after loading",
        ),
        "runs_in_bf16": (
            _net(forward="y = self.c(x); return y.index_add(0, torch.arange(len(y)), torch.ones(y.shape))"),
            "RuntimeError: index_add_(): self (BFloat16) and source (Float)",
        ),
        "runs_in_channels_last": (
            _net(forward="return self.c(x) + float(x.is_contiguous())"),
            "channels_last: differs by up to 1",
        ),
        "compiles": (
            _net(forward="return self.c(x) + float(torch.compiler.is_compiling())"),
            "logits of the compiled network: differs by up to 1",
        ),
        "exports": (
            _net(forward="y = self.c(x); return y * 1 if y.sum() > 0 else y"),
            "Could not guard on data-dependent expression",
        ),
        "shares_weights_across_norms": (
            _net(
                "self.d = nn.Sequential(*[m for m in [norm(out_channels)] if not isinstance(m, nn.Identity)],"
                " nn.Conv2d(out_channels, out_channels, 1))",
                "return self.d(self.c(x))",
            ),
            "without norm has the shape (1,) with batch norm",
        ),
        "is_drawn_by_init": (
            _net("self.p = nn.Parameter(torch.rand(1))", "return self.c(x) * self.p"),
            "p keeps what the constructor drew",
        ),
    },
    "norm": {
        "keeps_shape_and_type": (_layer("return x.double()"), "float32 features became torch.float64"),
        "is_finite_on_constant_features": (
            _layer("return x / x.std()"),
            "must be finite, got NaN or infinity",
        ),
        "reaches_every_parameter": (
            _layer("return x", "self.w = nn.Parameter(torch.ones(n))"),
            "w has no gradient",
        ),
        "allows_relu_in_place": (_layer("return torch.tanh(x)"), "modified by an inplace operation"),
        "is_repeatable_in_evaluation": (_layer("return x - x.mean(0)"), "an image alone and in a batch"),
        "saves_and_loads": (_layer("return x + self.s", "self.s = torch.rand(1)"), "output after loading"),
        "runs_in_bf16": (_layer("return x.float().exp().mul(10).exp().to(x.dtype)"), "must be finite"),
        "runs_in_channels_last": (
            _layer("return x + float(x.is_contiguous())"),
            "channels_last: differs by up to 1",
        ),
        "starts_the_same": (
            _layer("return x * self.w", "self.w = nn.Parameter(torch.ones(1))"),
            "Layer has parameters but no reset_parameters()",
        ),
    },
    "init": {
        "draws_from_its_generator": (
            "@variant\ndef thing(module, generator):\n    module.weight.data.mul_(2)\n",
            "weight of Conv2d from equal generators: differs",
        ),
        "gives_finite_weights": (
            "@variant\ndef thing(module, generator):\n    module.weight.data.fill_(float('inf'))\n",
            "weight of Conv2d must be finite",
        ),
        "breaks_symmetry": (
            "@variant\ndef thing(module, generator):\n    nn.init.ones_(module.weight)\n",
            "two generators give a convolution the same weights",
        ),
        "leaves_the_global_generator": (
            "@variant\ndef thing(module, generator):\n    torch.manual_seed(1); torch.rand(1)\n",
            "drawn from the global generator",
        ),
        "returns_nothing": (
            "@variant\ndef thing(module, generator):\n    return module\n",
            "it returned Conv2d",
        ),
    },
    "loss": {
        "gives_a_scalar": (
            _loss("bce(logits, target, reduction='none')"),
            "must have the shape (), got (1, 1, 8, 8)",
        ),
        "takes_logits": (
            _loss("nn.functional.binary_cross_entropy(logits.clamp(0.01, 0.99), 1 - target)"),
            "does it take probabilities?",
        ),
        "costs_little_when_right": (_loss("bce(logits.sigmoid(), target)"), "does it squash them twice?"),
        "takes_soft_targets": (
            _loss("bce(logits, target.floor())"),
            "for targets of 0.1 and 0.9 it gives",
        ),
        "has_a_gradient": (_loss("((logits > 0).float() - target).abs().mean()"), "it has no gradient"),
        "is_finite_at_the_edges": (
            _loss("1 - (logits.sigmoid() * target).sum() / target.sum()"),
            "the loss for empty masks and logits of about 0 must be finite",
        ),
        "computes_in_float32": (
            _loss("(logits.sigmoid() - target.to(logits.dtype)).square().mean()"),
            "bfloat16",
        ),
        "ignores_the_order_of_images": (_loss("bce(logits[0], target[0])"), "a batch reversed"),
        "says_truly_whether_it_is_a_mean": (
            _loss("bce(logits, target, reduction='sum')", "is_mean_over_images = True"),
            "a batch and the mean over its images",
        ),
        "leaves_out_ignored_pixels": (
            _loss("(bce(logits, target, reduction='none') * valid).mean()", valid=", valid=True"),
            "pixels ignored and cropped away",
        ),
        "changes_nothing": (_loss("bce(logits.mul_(2), target)"), "the logits after the call"),
    },
    "mix": {
        "keeps_size_and_type": (_mix("return images, target * 2, valid"), "target reaches from 0 to 2"),
        "leaves_valid_out": (
            _mix("return images, target, torch.ones_like(target, dtype=torch.bool)"),
            "valid None becomes Tensor",
        ),
        "moves_masks_with_images": (
            _mix("return images.flip(0), target, valid"),
            "images that show their target no longer do",
        ),
        "counts_no_ignored_pixel": (
            _mix("return images.flip(0), target.flip(0), valid"),
            "a pixel counts that holds a share of one that does not",
        ),
        "leaves_one_image_alone": (
            _mix("return images / 2, target / 2, valid"),
            "images of a batch of one: differs",
        ),
        "draws_from_the_seed_alone": (
            _mix("return images * torch.rand(()), target, valid"),
            "images of seed 0 drawn twice: differs",
        ),
        "leaves_its_arguments_alone": (
            _mix("return images.mul_(0.5), target, valid"),
            "images after the call: differs",
        ),
    },
    "optimizer": {
        "has_the_knob_lr": (
            _optimizer("return optim.SGD(parameters, lr=0.01)", "rate: float = 0.1"),
            "no knob lr",
        ),
        "takes_any_iterable": (
            _optimizer("return optim.SGD(list(parameters)[:1], lr=lr)"),
            "does not hold every parameter",
        ),
        "descends": (_optimizer("return optim.SGD(parameters, lr=lr, maximize=True)"), "the quadratic rose"),
        "moves_by_its_learning_rate": (
            _STUBBORN + _optimizer("return Opt(parameters, lr)"),
            "weights after a step at learning rate 0",
        ),
        "resumes_exactly": (
            _NO_STATE + _optimizer("return Opt(parameters, lr)"),
            "three steps after resuming",
        ),
    },
    "schedule": {
        "gives_factors": (
            "@variant\ndef thing(): return lambda e, n: n - 2.0 * e\n",
            "epoch 1 of 1: got -1.0",
        ),
        "trains_at_all": (
            "@variant\ndef thing(): return lambda e, n: 1 - e / n\n",
            "every factor of 1 epochs is 0",
        ),
        "is_pure": (
            "@variant\ndef thing():\n    calls = []\n"
            "    return lambda e, n: calls.append(1) or 1 / len(calls)\n",
            "asked backwards it gives other factors",
        ),
        "stands_a_missing_objective": (
            "class Factor:\n    is_adaptive = True\n"
            "    def __call__(self, e, n, values): return max(values, default=1.0) + 2\n\n"
            "@variant\ndef thing(): return Factor()\n",
            "epoch 2 of 100, where the first value is NaN: got nan",
        ),
    },
}
