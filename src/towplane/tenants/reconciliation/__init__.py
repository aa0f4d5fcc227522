"""The ledger beside a provider's bill.

bill       one line of a bill in normal form
files      rows of a file, whatever holds them
aws        rows of a Cost and Usage Report become lines
azure      rows of a Cost Management export become lines
google     rows of a Cloud Billing export become lines
names      how a model is called on a bill, and how it is called there: the same words
books      what the ledger says
compare    the difference: pure
"""
