"""Any model by minibatches: many members a step."""
