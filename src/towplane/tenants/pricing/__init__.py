"""Where prices come from: dated entries of the document and of the price book, and what they say.

`entries` is how prices follow each other in time, `book` asks the packaged price book and
remembers its answers, `genai` is the one file that knows the package, `provisioned` shares out
what is paid for by the hour.
"""
