"""What `bench/chaos.py` is made of: unruly vendors, clients, and an auditor of the books."""
