"""Checks of e15."""

import copy
from collections.abc import Hashable

from examples.exercises.checking import Wrong, kind, same
from examples.exercises.e15_topological_order import solution

LONG = 5000
ENOUGH = 20  # lookups per node, where two are needed


def graph(rng, size=12):
    """(parents, root): some parents stand there twice, some nodes are reachable in many ways.

    Nodes are called by numbers that say nothing about their order.
    """
    names = rng.permutation(size).tolist()
    parents = {names[0]: []}
    for place in range(1, size):
        chosen = rng.integers(place, size=rng.integers(1, 4))
        parents[names[place]] = [names[i] for i in chosen]
    return parents, names[int(rng.integers(6, size))]


def needed(root, parents):
    """All nodes that root depends on, root included."""
    found, stack = {root}, [root]
    while stack:
        new = set(parents[stack.pop()]) - found
        found |= new
        stack += new
    return found


def draw(rng):
    """[(parents, root)]: a random graph, and one with all that is difficult."""
    fork = {0: [], 1: [0], 2: [0, 1, 1], 3: [2, 1], 4: [3]}
    return [graph(rng), (fork, 3)]


def check_order(answer, rng):
    """Task 1: every node once, after everything that was computed from it."""
    for parents, root in draw(rng):
        given = copy.deepcopy(parents)
        order = as_order(answer.backward_order(root, given), parents)
        unchanged(given, parents, "backward_order", "the parents")
        _judge(order, root, parents)


def as_order(order, parents):
    """A list of nodes."""
    if order is None:
        raise Wrong("the order is None: is a `return` missing?")
    if not isinstance(order, list | tuple):
        raise Wrong(f"the order is {kind(order)}, not a list")
    for node in order:
        if not isinstance(node, Hashable) or node not in parents:
            raise Wrong(
                f"the order holds {node!r}, which is not a node: nodes are {min(parents)} to "
                f"{max(parents)}"
            )
    return list(order)


def unchanged(given, original, what, name):
    """Raise `Wrong` when a function has changed a dictionary that it was given."""
    if given != original:
        raise Wrong(f"{what} changed {name}: the caller still needs them")


def _judge(order, root, parents):
    if len(set(order)) != len(order):
        raise Wrong(f"a node is visited twice in {order} for parents {parents}")
    if set(order) != needed(root, parents):
        raise Wrong(
            f"with root {root} the order has {sorted(order)}, but the root and what it depends on "
            f"are {sorted(needed(root, parents))}"
        )
    place = {node: i for i, node in enumerate(order)}
    for node in order:
        for parent in parents[node]:
            if place[parent] < place[node]:
                raise Wrong(
                    f"{parent} is visited before {node}, which was computed from it and still has "
                    f"a cotangent to send; parents: {parents}"
                )


class Watched(dict):
    """Parents, and how often they were looked up; beyond `limit` that is judged at once."""

    def __init__(self, parents, limit):
        super().__init__(parents)
        self.lookups, self.limit = 0, limit

    def __getitem__(self, node):
        self.lookups += 1
        if self.lookups > self.limit:
            self.judge()
        return super().__getitem__(node)

    def judge(self):
        """Raise `Wrong` when there have been more lookups than enough."""
        if self.lookups > len(self) ** 3:
            raise Wrong(
                f"it was stopped when it had looked up the parents of {len(self)} nodes "
                f"{self.lookups} times: it walks every path anew, and there are 2^40 of them"
            )
        if self.lookups > ENOUGH * len(self):
            raise Wrong(
                f"the parents of {len(self)} nodes were looked up {self.lookups} times: it looks "
                "through all nodes again for each of them, which a tape of 5000 nodes makes slow; "
                "two passes over the nodes are enough"
            )


def check_long(answer, rng):
    """Task 1: a chain of 5000 nodes."""
    chain = {0: [], **{node: [node - 1] for node in range(1, LONG)}}
    parents = Watched(chain, ENOUGH * LONG)
    try:
        order = answer.backward_order(LONG - 1, parents)
    except RecursionError:
        raise Wrong("a function that calls itself for each node runs out of stack") from None
    if as_order(order, range(LONG)) != list(range(LONG - 1, -1, -1)):
        raise Wrong("the order of a chain is from its end to its beginning")


def check_paths(answer, rng):
    """Task 1: a graph of 41 nodes with 2^40 paths takes no longer than a chain."""
    squares = {0: [], **{node: [node - 1, node - 1] for node in range(1, 41)}}
    parents = Watched(squares, len(squares) ** 3)
    if as_order(answer.backward_order(40, parents), range(41)) != list(range(40, -1, -1)):
        raise Wrong("the order of x * x, squared again and again, is from its end to its beginning")
    parents.judge()


def paths(root, node, parents, partials):
    """The sum, over all paths from root to node, of the product of partials along the path."""
    if root == node:
        return 1.0
    pairs = zip(parents[root], partials[root], strict=True)
    return sum(partial * paths(parent, node, parents, partials) for parent, partial in pairs)


def check_gradients(answer, rng):
    """Task 2: gradients are sums over all paths."""
    for parents, root in draw(rng):
        partials = {node: list(rng.standard_normal(len(p))) for node, p in parents.items()}
        given = copy.deepcopy((parents, partials))
        got = answer.gradients(root, *given)
        if got is None:
            raise Wrong("the gradients are None: is a `return` missing?")
        if not isinstance(got, dict):
            raise Wrong(f"the gradients are {kind(got)}, not a dictionary")
        unchanged(given, (parents, partials), "gradients", "the parents or the partials")
        if set(got) != needed(root, parents):
            raise Wrong(
                f"with root {root} there are gradients of {sorted(got)}, but the root and what it "
                f"depends on are {sorted(needed(root, parents))}"
            )
        for node in got:
            given = f"with parents {parents} and partials {rounded(partials)}"
            expected = paths(root, node, parents, partials)
            same(got[node], expected, f"{given}, d({root})/d({node})")


def rounded(partials):
    """Partials with as many digits as one can follow on paper."""
    return {node: [round(float(p), 2) for p in ps] for node, ps in partials.items()}


def _first_sight(root, parents):
    order, stack = [], [root]
    while stack:
        node = stack.pop()
        if node not in order:
            order.append(node)
            stack.extend(parents[node])
    return order


def _every_path(root, parents):
    order, waiting = [], [root]
    while waiting:
        node = waiting.pop(0)
        if node in order:
            order.remove(node)
        order.append(node)
        waiting += parents[node]
    return order


def _searches(root, parents):
    order, left = [], needed(root, parents)
    while left:
        for node in left:
            if not any(node in parents[other] for other in left if other != node):
                break
        order.append(node)
        left.remove(node)
    return order


def _recursive(root, parents):
    order = []

    def visit(node):
        if node not in order:
            for parent in parents[node]:
                visit(parent)
            order.append(node)

    visit(root)
    return order[::-1]


def _last_child(root, parents, partials):
    result = {root: 1.0}
    for node in solution.backward_order(root, parents):
        for parent, partial in zip(parents[node], partials[node], strict=True):
            result[parent] = result[node] * partial
    return result


CHECKS = [check_order, check_paths, check_long, check_gradients]
MUTANTS = {
    "visits a node at first sight": {"backward_order": _first_sight},
    "walks every path": {"backward_order": _every_path},
    "looks through all nodes for each": {"backward_order": _searches},
    "by the nodes' numbers": {
        "backward_order": lambda r, p: sorted(solution.backward_order(r, p), reverse=True)
    },
    "recursion": {"backward_order": _recursive},
    "parents before children": {"backward_order": lambda r, p: solution.backward_order(r, p)[::-1]},
    "all nodes, needed or not": {"backward_order": lambda r, p: sorted(p, reverse=True)},
    "the last cotangent instead of the sum": {"gradients": _last_child},
    "zero gradient": {
        "gradients": lambda *a: dict.fromkeys(solution.gradients(*a), 0.0),
    },
}
