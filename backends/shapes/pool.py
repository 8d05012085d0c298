"""CuPy's memory pool on paper: what a device holds, without any memory.

As in CuPy 14: sizes are rounded up to 512 bytes; the smallest free block that is large enough is
taken and its rest split off; a freed block joins its free neighbours; and only when the limit is
reached are blocks that are free as a whole given back.
"""

import bisect
import itertools

UNIT = 512  # bytes


class _Block:
    """A stretch of the device's memory, and its neighbours in one allocation of the driver's."""

    __slots__ = ("following", "former", "number", "size")
    numbers = itertools.count()

    def __init__(self, size, former=None, following=None):
        self.size, self.former, self.following = size, former, following
        self.number = next(_Block.numbers)

    @property
    def place(self):
        """Where it stands among free blocks: by size."""
        return self.size, self.number


class Pool:
    """`cupy.get_default_memory_pool()` of a device; bytes in use and held, now and at most."""

    def __init__(self):
        self.limit = 0
        self.used = self.held = self.most_used = self.most_held = 0
        self._free, self._places = [], {}

    def take(self, size):
        """A block of at least `size` bytes. Raises `MemoryError` beyond the limit."""
        size = max(1, -(-size // UNIT)) * UNIT
        block = self._smallest(size) or self._new(size)
        self._split(block, size)
        self.used += block.size
        self.most_used = max(self.most_used, self.used)
        return block

    def give(self, block):
        """Take a block back."""
        self.used -= block.size
        for neighbour in (block.former, block.following):
            if neighbour is not None and neighbour.number in self._places:
                self._remove(neighbour)
                self._join(block, neighbour)
        self._add(block)

    def forget_peaks(self):
        """Start anew with the most in use, and the most held."""
        self.most_used, self.most_held = self.used, self.held

    def _smallest(self, size):
        at = bisect.bisect_left(self._free, (size, -1))
        if at == len(self._free):
            return None
        block = self._places[self._free[at][1]]
        self._remove(block)
        return block

    def _new(self, size):
        if self.limit and self.held + size > self.limit:
            self.free_all_blocks()
        if self.limit and self.held + size > self.limit:
            raise MemoryError(
                f"Out of memory allocating {size:,} bytes (allocated so far: {self.held:,} bytes, "
                f"limit set to: {self.limit:,} bytes)."
            )
        self.held += size
        self.most_held = max(self.most_held, self.held)
        return _Block(size)

    def _split(self, block, size):
        if block.size == size:
            return
        rest = _Block(block.size - size, block, block.following)
        if rest.following is not None:
            rest.following.former = rest
        block.size, block.following = size, rest
        self._add(rest)

    def _join(self, block, neighbour):
        block.size += neighbour.size
        if neighbour is block.former:
            block.former = neighbour.former
            if block.former is not None:
                block.former.following = block
        else:
            block.following = neighbour.following
            if block.following is not None:
                block.following.former = block

    def _add(self, block):
        bisect.insort(self._free, block.place)
        self._places[block.number] = block

    def _remove(self, block):
        del self._free[bisect.bisect_left(self._free, block.place)]
        del self._places[block.number]

    # As CuPy calls them.

    def set_limit(self, size=None, fraction=None):
        """Bytes that may be held; 0 for as many as there are."""
        self.limit = size

    def get_limit(self):
        """Bytes that may be held."""
        return self.limit

    def used_bytes(self):
        """Bytes in use."""
        return self.used

    def total_bytes(self):
        """Bytes held."""
        return self.held

    def free_all_blocks(self, stream=None):
        """Give back what is free as a whole."""
        for block in list(self._places.values()):
            if block.former is None and block.following is None:
                self._remove(block)
                self.held -= block.size
