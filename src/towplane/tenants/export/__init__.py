"""Usage as rows of an invoice: `rows` reads them, `apportion` rounds them, `write` puts them into a
file."""
