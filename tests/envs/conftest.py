import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def official_data() -> Path:
    """The official ALFWorld tree, unpacked once."""
    source = Path(os.environ.get("ESPALIER_TEST_DATA", ROOT / ".." / "shared" / "data"))
    unpack = source / "unpack_alfworld.py"
    if not (source / "alfworld" / "games_valid_seen.jsonl.xz").is_file():
        pytest.skip("no ALFWorld data: set ESPALIER_TEST_DATA to the folder that holds alfworld/")
    target = ROOT / ".espalier" / "test-data" / "alfworld"
    mark = target / "unpacked-valid_seen"
    if not mark.exists():
        subprocess.run([sys.executable, str(unpack), str(target), "valid_seen"], check=True)
        mark.touch()
    return target
