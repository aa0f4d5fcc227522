"""Where a secret can be, besides the environment and files: a module each, loaded on use.

Each has `read_secret(name, environ)`, which answers the text or raises a PlaneError that names the
place and never what was found there. All of them block; whoever calls them has a thread for it.
"""
