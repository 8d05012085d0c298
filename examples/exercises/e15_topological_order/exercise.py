"""The order in which a tape is walked.

It needs lesson 1 only, but it is hard. A tape is a graph. `parents[node]` lists the nodes that
`node` was computed from; a node that was computed from nothing has an empty list, and a parent may
stand in a list twice (x * x). Backward must come to a node only when *all* that was computed from
it has been visited: until then, cotangents for it may still arrive.
"""


def backward_order(root, parents):
    """Task 1: a list of `root` and all nodes it depends on, each once, children before parents.

    A child of a node is whatever was computed from it. Nodes that root does not depend on have no
    place in the list. Tapes are long (a chain of 5000 nodes): recursion is not for them, nor is
    looking through all nodes for each node.
    """
    raise NotImplementedError("task 1: backward_order")


def gradients(root, parents, partials):
    """Task 2: {node: d(root)/d(node)} for every node in the order of task 1, as numbers.

    `partials[node]` lists d(node)/d(parent), one for each entry of `parents[node]`.
    """
    raise NotImplementedError("task 2: gradients")
