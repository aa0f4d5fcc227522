"""Sources of addresses: who knows where the targets of a provider are, asked and listened to."""
