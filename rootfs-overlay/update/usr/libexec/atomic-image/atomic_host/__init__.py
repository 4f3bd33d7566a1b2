"""The host's side of atomic-image: deployments, updates, boot counting and health. Runs on Python 3.9 and later with the standard library alone."""
