"""The conversation suite: official clients, through one plane, against every kind of provider."""
