"""Activations of one's own: believed only after a check, sound, as tight as what is known of them allows."""

import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx

from slir_milp import register_activation
from slir_milp.activations import registry as registry_module
from slir_milp.activations.declarations import parse_declarations
from slir_milp.activations.registry import Registry, registered
from slir_milp.activations.touch import touch_above, touch_below
from slir_milp.errors import OptionError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry_module, "_PROCESS", registry_module._Process())


def tanh_slope(x: np.ndarray) -> np.ndarray:
    return 1.0 / np.cosh(x) ** 2


def tanh_critical(slope: float) -> list[float]:
    if not 0 < slope <= 1:
        return []
    root = math.acosh(1 / math.sqrt(slope))
    return [-root, root]


def leaves(x: object) -> float:
    raise SystemExit(3)


WAYS: dict[str, tuple[Any, dict[str, Any], float]] = {
    "formula": ("1 - 2 / (1 + exp(2 * x))", {}, 1e-12),
    "Lipschitz constant": (np.tanh, {"lipschitz": 1}, 0.04),
    "slope range": (np.tanh, {"slope_range": (0, 1)}, 0.02),
    "curvature": (np.tanh, {"curvature": (-0.77, 0.77)}, 2e-4),
    "inflections": (np.tanh, {"derivative": tanh_slope, "inflections": [0.0]}, 5e-4),
    "derivative by formula": (np.tanh, {"derivative": "1 - tanh(x)**2"}, 5e-4),
    "critical points": (np.tanh, {"critical_points": tanh_critical}, 5e-3),
    "function of numbers": (math.tanh, {"lipschitz": 1.0}, 0.04),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_sound_and_as_tight_as_it_can_be(way: str) -> None:
    function, facts, tolerance = WAYS[way]
    curve = register_activation("mine", function, **facts)
    assert registered().activation("mine") is curve
    rng, table = np.random.default_rng(6), curve.table
    ctx.prec = 100
    for _ in range(40):
        lower, upper = np.sort(rng.uniform(-6, 6, 2)).tolist()
        slope = float(rng.uniform(-0.5, 1.2))
        above, below = touch_above(table, slope, lower, upper), touch_below(table, slope, lower, upper)
        x = np.concatenate([[lower, upper], rng.uniform(lower, upper, 20)])
        for at in x.tolist():
            value = arb(at).tanh() - arb(slope) * arb(at)
            assert arb(below.offset) < value < arb(above.offset)
        dense = np.linspace(lower, upper, 2001)
        over = np.tanh(dense) - slope * dense
        assert above.offset - over.max() < tolerance + 1e-5
        assert over.min() - below.offset < tolerance + 1e-5


@pytest.mark.parametrize("way", WAYS)
def test_values_and_enclosures(way: str) -> None:
    function, facts, _ = WAYS[way]
    curve = register_activation("mine", function, **facts)
    x = np.array([[-2.0, 0.0], [0.5, 30.0]])
    assert curve(x) == pytest.approx(np.tanh(x))
    assert curve.derivative(x) == pytest.approx(tanh_slope(x), abs=1e-6)
    ctx.prec = 100
    for at in (arb(0.5), arb(1) / 3, arb(-2.0, 0.01)):
        assert curve.ball(at).contains(at.mid().tanh())
        assert float(curve.ball(at).rad()) < 0.05


def test_domain() -> None:
    curve = register_activation("root", math.sqrt, slope_range=(0, 1), domain=(0, math.inf), interval=(0.25, 9))
    assert touch_above(curve.table, 1.0, 0.1, 1.0).offset == math.inf
    assert touch_above(curve.table, 0.0, 0.25, 4.0).offset == pytest.approx(2.0, abs=0.02)
    assert touch_above(curve.table, 1.0, 4.0, 1e6).offset < math.inf


def test_domain_that_is_sampled_whole() -> None:
    for facts in ({"curvature": (-1, 1)}, {"derivative": np.cos, "inflections": [0]}, {"lipschitz": 1}):
        curve = register_activation("wave", np.sin, domain=(-3, 3), interval=(-3, 3), **facts)
        assert touch_above(curve.table, 0.0, -3.0, 3.0).offset == pytest.approx(1.0, abs=0.01)
        assert touch_above(curve.table, 0.0, -3.0, 3.1).offset == math.inf


def test_breakpoints() -> None:
    def stairs(x: float) -> float:
        return -1.0 if x < 0 else (2.0 if x == 0 else (x if x <= 3 else 2 * x - 3))

    curve = register_activation("stairs", stairs, breakpoints=[0, 3])  # type: ignore[arg-type]
    assert curve.offsets.name == "breakpoints" and curve.formula is not None
    x = np.array([-1.0, 0.0, 1.0, 3.0, 5.0])
    assert curve(x).tolist() == [-1.0, 2.0, 1.0, 3.0, 7.0]
    assert touch_above(curve.table, 1.0, -1.0, 5.0).offset == pytest.approx(2.0)
    assert touch_below(curve.table, 0.0, -1.0, 5.0).offset == -1.0


@pytest.mark.parametrize(
    ("function", "facts", "message"),
    [
        (
            np.tanh,
            {"lipschitz": 0.9},
            r"between 0\.0 and .* its slope is 0\.99.*, but declared was a Lipschitz constant",
        ),
        (np.tanh, {"slope_range": (0, 0.99)}, "declared was the range"),
        (np.tanh, {"curvature": (-0.7, 0.7)}, r"about -0\.65.* its second derivative is 0\.769"),
        (np.tanh, {"lipschitz": 1, "values": (-1, 0.5)}, r"declared to lie in \[-1, 0\.5\], but at 0\.5"),
        (
            np.tanh,
            {"derivative": lambda x: 1.001 * tanh_slope(x), "inflections": [0]},
            "at .* its derivative was declared",
        ),
        (np.tanh, {"derivative": tanh_slope, "inflections": []}, "no inflection was declared between -inf and inf"),
        (np.tanh, {"derivative": "1 - tanh(x)"}, "its derivative was declared to be 2"),
        (np.tanh, {"critical_points": lambda s: [0.5]}, "its derivative passes"),
        (np.tanh, {"breakpoints": [0.0]}, "name every breakpoint"),
        (np.tanh, {}, "samples alone prove nothing"),
        (np.tanh, {"derivative": tanh_slope}, r"inflections=\(\)"),
        (np.abs, {"lipschitz": -1}, "must be finite and not negative"),
        (np.abs, {"slope_range": (1, -1)}, "is no range"),
        (np.abs, {"lipschitz": 1, "interval": (3, 3)}, "name an interval"),
        (np.abs, {"lipschitz": 1, "samples": 1}, "too few"),
        (np.abs, {"lipschitz": 1, "samples": 10**9}, "too many"),
        (np.abs, {"lipschitz": 1, "interval": (-math.inf, 3)}, "too long"),
        (np.abs, {"lipschitz": 1, "interval": (-1.7e308, 1.7e308)}, "too long"),
        (leaves, {"lipschitz": 1}, "cannot be computed at -16.0: SystemExit"),
        ("log(-1 - x**2)", {}, "no finite value on"),
        (np.square, {"lipschitz": 40}, "declared was a Lipschitz constant 40"),  # true of the samples, not beyond
        ("tanh(x)", {"slope_range": (0, 0.9)}, "its slope is"),
        ("tanh(x)", {"derivative": "1 - tanh(x)"}, r"but it is"),
        ("tanh(y)", {}, "column 6"),
        (3, {}, "neither"),
    ],
)
def test_what_is_false_is_refused(function: Any, facts: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        register_activation("wrong", function, **facts)
    assert "wrong" not in registered().curves


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "", "a b"])
def test_names_that_are_taken_or_no_names(name: str) -> None:
    with pytest.raises(OptionError, match=r"built-in|is no name"):
        register_activation(name, "x**2")


def test_registries_are_values() -> None:
    curve = register_activation("mine", "x * tanh(exp(x))", operator="my.domain::Mine")
    assert registered().of_operator("my.domain", "Mine", {}) is curve
    assert registered().of_operator("my.domain", "Other", {}) is None
    with pytest.raises(OptionError, match="takes no parameters"):
        registered().of_operator("my.domain", "Mine", {"alpha": 1.0})
    with pytest.raises(OptionError, match="did you mean mine"):
        registered().activation("mina")
    assert registered().activation("sin").name == "sin"  # type: ignore[union-attr]
    empty = Registry()
    assert empty.with_curve(curve).curves.keys() == {"mine"} and not empty.curves
    with pytest.raises(OptionError, match="domain::Type"):
        empty.with_curve(curve, "Mine")


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def declare(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "my.toml"
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    (tmp_path / "my_functions.py").write_text(
        "import math\nnumber = 3\ndef bumpy(x):\n    return math.sin(x) + 2 * x\n"
    )
    return write


def test_a_file_with_a_byte_order_mark(declare: Callable[[str], Path]) -> None:
    assert parse_declarations(declare("\ufeff" + HEAD + 'formula = "x"\n'))[0].name == "f"


def test_a_file(declare: Callable[[str], Path]) -> None:
    path = declare("""
        # mine
        [[activation]]
        name = "snake"
        formula = "x + sin(alpha * x)**2 / alpha"
        parameters = { alpha = 1.0 }
        operator = "my.domain::Snake"

        [[activation]]
        name = "bumpy"
        function = "my_functions:bumpy"
        slope_range = [1, 3]
        interval = [-8, 8]
        samples = 200
    """)
    declarations = parse_declarations(path)
    assert [d.name for d in declarations] == ["snake", "bumpy"]
    assert declarations[0].operator == ("my.domain", "Snake") and declarations[1].where.endswith("line 8")
    registry = Registry().with_declarations(declarations)
    x = np.array([0.3, 2.0])
    snake = registry.of_operator("my.domain", "Snake", {"alpha": 2.0})
    assert snake is not None and snake.name == "snake(alpha=2)"
    assert registry.of_operator("my.domain", "Snake", {"alpha": 2.0}) is snake
    assert snake(x) == pytest.approx(x + np.sin(2 * x) ** 2 / 2)
    bumpy = registry.activation("bumpy")
    assert bumpy(x) == pytest.approx(np.sin(x) + 2 * x)
    with pytest.raises(OptionError, match="line 2: activation snake has no parameter 'beta'; it takes: alpha"):
        registry.of_operator("my.domain", "Snake", {"beta": 2.0})


HEAD = '[[activation]]\nname = "f"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[activation]\n", "no TOML: .*line 1"),
        ("", "declare each activation"),
        ('[activation]\nname = "f"\n', "declare each activation"),
        ("colour = 1\n" + HEAD, "'colour' means nothing"),
        ('[[activation]]\nformula = "x"\n', "line 1: this activation needs a name"),
        (HEAD, "line 1: activation f needs either"),
        (HEAD + 'formula = "x"\nlipshitz = 1\n', "line 4: 'lipshitz' means nothing"),
        (HEAD + 'formula = "sinn(x)"\n', r"line 3: formula 'sinn\(x\)', column 1"),
        (HEAD + 'formula = "x"\noperator = "F"\n', "line 4: 'F' is no operator"),
        (HEAD + 'formula = "x"\nslope_range = [1]\n', "line 4: slope_range must be two"),
        (HEAD + 'formula = "x"\nslope_range = 1\n', "line 4: slope_range must be a list"),
        (HEAD + 'formula = "x"\nerror = "1"\n', "line 4: error: '1' is no number"),
        (HEAD + 'formula = "x"\nsamples = 1.5\n', "line 4: samples must be a whole"),
        (HEAD + "formula = 3\n", "line 3: formula must be a text"),
        (HEAD + 'formula = "x"\nparameters = { sin = 1 }\n', "line 4: 'sin' cannot be"),
        (HEAD + 'formula = "x"\nparameters = { a = inf }\n', "line 4: parameter 'a' must be finite"),
        (HEAD + 'function = "my_functions:absent"\n', "line 3: function: module my_functions has no 'absent'"),
        (HEAD + 'function = "my_functions:number"\n', "line 3: function: .* is no function"),
        (HEAD + 'function = "no_such_module:f"\n', "line 3: function: .* cannot be imported"),
        (HEAD + 'function = "bumpy"\n', "line 3: function: 'bumpy' is no function; write module:name"),
        (HEAD + 'function = "my_functions:bumpy"\nparameters = { a = 1 }\n', "line 4: only a formula"),
        ('[[activation]]\nname = "relu"\nformula = "x"\n', "line 2: 'relu' is a built-in"),
        ((HEAD + 'formula = "x**2"\n') * 2, "line 4: .*line 1 declares the same name"),
    ],
)
def test_mistakes_in_files_are_placed(declare: Callable[[str], Path], text: str, message: str) -> None:
    path = declare(text)
    with pytest.raises(OptionError, match=message) as caught:
        parse_declarations(path)
    assert str(path) in str(caught.value)


def test_false_declarations_in_files_are_placed(declare: Callable[[str], Path]) -> None:
    path = declare(HEAD + 'function = "my_functions:bumpy"\nlipschitz = 2.5\n')
    with pytest.raises(OptionError, match="line 1: activation f: between"):
        Registry().with_declarations(parse_declarations(path))
    with pytest.raises(OptionError, match="cannot be read"):
        parse_declarations(path.parent / "absent.toml")
