"""Where targets come from when a provider has many addresses: what is known of them. Pure."""
