"""May a batch join the training set, and what is known of each image? Pure functions."""
