"""The sandbox of an OS session: made, limited and driven by the server."""
