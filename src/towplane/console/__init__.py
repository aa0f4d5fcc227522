"""The web pages of the admin port: rendered on the server, readable without script."""
