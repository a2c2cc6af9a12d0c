"""From a plan to records: cells, meta-training, meta-test and the runner."""
