"""Credentials in the plane process: from references in the document to what workers send."""
