"""What the tests share: small data, and the script run as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmark import sweep_script

import dropout_sweep


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """The path of a small data set in the layout of Keras's mnist.npz."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, **dropout_sweep.draw_digits(1_000, 300))
    return path


@pytest.fixture(scope="session")
def offline(tmp_path_factory) -> dict[str, str]:
    """An environment with neither a Keras cache nor a network."""
    home = str(tmp_path_factory.mktemp("home"))
    nobody = "http://127.0.0.1:9"
    return {"HOME": home, "KERAS_HOME": home, "https_proxy": nobody, "HTTPS_PROXY": nobody}


def start(folder: Path, environment: dict[str, str] | None = None, **constants) -> subprocess.Popen:
    """Starts a copy of the script in the folder, with these constants."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, sweep_script(folder, **constants).name],
        cwd=folder,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def run(
    folder: Path, environment: dict[str, str] | None = None, **constants
) -> tuple[int, str, str]:
    """Runs a copy of the script in the folder; returns status, output and error output."""
    process = start(folder, environment, **constants)
    output, errors = process.communicate()
    return process.returncode, output, errors


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the files in figures/, hidden ones too, as a dict from name to content."""
    files = [path for path in (folder / "figures").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
