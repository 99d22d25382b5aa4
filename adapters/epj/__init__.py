"""EPJ in a box: a counterpart that receives, answers and reports as a municipality's record system does, with faults on demand.

It speaks through the same seals and formats as the hub, so it proves the flow, not the wire: that is checked with other people's tools.
"""
