"""Test doubles that ship with towplane: a clock, a provider, a plane, hostile bytes.

They may import anything of the product; the product never imports them.
"""
