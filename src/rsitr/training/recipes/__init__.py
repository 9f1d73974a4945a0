"""One file for each method: from a config and its data to a run, and from a batch to a loss."""
