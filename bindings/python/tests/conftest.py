"""What all tests share."""

import os

# The models are small: PyTorch's threads would wait for each other, and for whatever else the machine does.
os.environ["OMP_NUM_THREADS"] = "1"
