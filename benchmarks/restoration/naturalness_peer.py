"""By an interpreter that has brisque: PICTURES.npy (uint8 [image, row, column]) SCORES.json; less is more natural."""

import json
import sys
from pathlib import Path

import numpy as np
from brisque import BRISQUE

# NumPy 2.4 takes arrays of one number no more where a number is asked for, and brisque 0.2.0 gives it such
scaled = BRISQUE.scale_features
BRISQUE.scale_features = lambda self, features: scaled(self, [np.asarray(each).item() for each in features])

source, target = (Path(name) for name in sys.argv[1:3])
judge = BRISQUE(url=False)
scores = [float(judge.score(np.repeat(picture[..., None], 3, axis=2))) for picture in np.load(source)]
target.write_text(json.dumps(scores))
