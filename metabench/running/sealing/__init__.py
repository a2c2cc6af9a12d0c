"""Sealed cells: the process where an algorithm runs never holds an answer of meta-test.

Three processes take part in a cell of the executor ``processes``::

    metabench run  --- job --->  scorer  --- job without the salt --->  worker
      stores the   <-- record --  opens all splits, draws    <-- training  opens train and
      record                      the test episodes, runs    -- support,   validation, runs
                                  the metrics                   queries -> the algorithm
                                                             <- predictions

* The scorer forks the worker before it reads the job, so that the worker inherits nothing, and
  imports no plugin but those that provide the data sets and metrics of the benchmark. Meta-test
  begins after meta-training has ended.
* Every metric asks the algorithm through :class:`metabench.metrics.model.Model`. Its
  implementation in the scorer, :mod:`~metabench.running.sealing.client`, sends support sets and
  query inputs; :mod:`~metabench.running.sealing.service` answers in the worker. A message is
  JSON and raw tensors, never pickle: :mod:`~metabench.running.sealing.channel`.
* An attack needs the gradient of its loss. The scorer sends the gradient by the logits, and the
  worker returns that by the inputs. Metrics that attack are measured last.
* Seeds, batches and devices of the predictions are those of a cell in one process: scores have the
  same bits.
* Meta-validation stays in the worker: its answers may be used to choose a state.

``docs/threats.md`` states what this prevents, what is detected and what stays open.
"""
