"""The parts of learning: rows, folds, metrics, intervals, the gate, leaks, artefacts, the record of a run."""
