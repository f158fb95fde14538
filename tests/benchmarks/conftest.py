import sys
from pathlib import Path

# The browser's helper module serves the benchmarks too.
sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
