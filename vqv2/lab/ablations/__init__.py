"""The paper's ablations at any size: of the prior's dimensions (Table 4), of quantising (Table 5).

They train what they compare, each model in a folder of its own, and go on where they were stopped.
"""
