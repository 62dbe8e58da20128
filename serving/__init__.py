"""What is served: the exported OneStep graph and its warm-up requests."""
