"""The loops that algorithms share; plugins may import them.

==========================  ===================================================================
:mod:`.gradient_based`      the base of methods that adapt in inner steps
:mod:`.inner_loop`          differentiable gradient steps for many tasks at once
:mod:`.adam`                Adam for the inner loop
:mod:`.predictors`          predictors of one task and of many, trajectories of them
:mod:`.learner`             the network that is adapted, with a learned head or one of zeros
:mod:`.outer_loop`          descent on the query loss through the inner loop
:mod:`.outer_gradient`      the gradient of an outer step, by the engine that suits the machine
:mod:`.divergence`          the inner step at which a loss stops being finite
:mod:`.task_by_task`        inner loops of other libraries, one task at a time
:mod:`.metric_based`        training of an embedding through a rule for queries
:mod:`.schedules`           learning rate schedules
:mod:`.fit_head`            a new head on frozen features, by mini-batches
:mod:`.film`                task vectors to scales and shifts of a network
:mod:`.task_encoder`        support sets to task vectors
:mod:`.full_context`        embeddings in view of the support set
==========================  ===================================================================
"""
