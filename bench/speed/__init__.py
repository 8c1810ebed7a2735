"""What bench/compare.py is made of: scenarios, systems and bars are data; proc, ratios, plot and flame are pure; the rest runs processes."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'tests/support'))
