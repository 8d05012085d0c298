"""One answer to e15."""


def backward_order(root, parents):
    """Count children, then visit what has no unvisited child left."""
    waiting, stack = {root: 0}, [root]
    while stack:
        for parent in parents[stack.pop()]:
            if parent not in waiting:
                waiting[parent] = 0
                stack.append(parent)
            waiting[parent] += 1
    order, ready = [], [root]
    while ready:
        node = ready.pop()
        order.append(node)
        for parent in parents[node]:
            waiting[parent] -= 1
            if waiting[parent] == 0:
                ready.append(parent)
    return order


def gradients(root, parents, partials):
    """The chain rule along the order."""
    result = {root: 1.0}
    for node in backward_order(root, parents):
        for parent, partial in zip(parents[node], partials[node], strict=True):
            result[parent] = result.get(parent, 0.0) + result[node] * partial
    return result
