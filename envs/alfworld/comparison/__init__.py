"""The proof that the native engine shows what TextWorld shows. No part of the server."""
