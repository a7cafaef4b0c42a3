# The loops compiled for the baseline of the platform.
include "loops.pxi"
