"""The endpoint: who asks over HTTP gets images answered, and nothing else."""
