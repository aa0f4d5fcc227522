"""Arms compared: what is known of each, and of their differences, whenever somebody looks.

    rows of requests ──Tally──▶ evidence by arm and metric ──compare──▶ intervals, p-values, verdict

Pure. The law of all of it: a confidence sequence holds at all times at once, so that looking often,
stopping when it pleases, and looking again costs nothing.
"""
