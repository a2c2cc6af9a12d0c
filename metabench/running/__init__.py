"""Running cells: the plan, meta-training, meta-test, and the records of both."""
