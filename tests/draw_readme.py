"""No test: `PYTHONPATH=. python tests/draw_readme.py` draws the thirty epochs' figures anew."""

from conftest import FIGURES, RATES, read_run

import dropout_sweep as script

if __name__ == "__main__":
    history = read_run(FIGURES / "thirty_epochs")
    script.NORMALIZATIONS = ["layer", "batch", None]
    script.SEEDS = range(20)
    script.EPOCHS = 30
    script.FIGURES_DIR = FIGURES / "thirty_epochs"
    script.SCRIPT = b""  # another one has trained these
    script.write_results("mnist", RATES, {name: history[name] for name in script.RESULT_NAMES})
