"""The playground: one static page and the small server that stands between it and the model server."""
