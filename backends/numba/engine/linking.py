"""Machine code for a kernel once, and not for each of the pieces that it is linked together from.

Numba compiles a kernel's parts, the body of its loop over tasks, and two wrappers round the body as
libraries of their own. Each is optimised with all that it calls, made into machine code, and linked
into the next one, where all of that begins anew: what runs in the end is optimised for the fourth
or fifth time, and all machine code but the last is never run. That was two thirds of the time that
compiling took. Here a library is optimised and made into machine code when one of its functions
is asked for by its address, which happens to the last one alone.

Numba calls none of this public. Where a version of it does not ask what is overridden here,
kernels are the same, and compiling takes as long as before.
"""

import contextlib
import functools


def compile_within(dispatcher, surrounding):
    """Let `dispatcher` compile what it is for as a whole, and within the context `surrounding()`.

    What it finds on disk it does not compile.
    """
    compiler = dispatcher._compiler
    piece_by_piece = compiler.compile

    @functools.wraps(piece_by_piece)
    def compile_whole(arguments, return_type):  # Numba's lock is held: nobody else compiles now
        libraries = _libraries(dispatcher.targetctx.codegen(), _library_of_pieces())
        with surrounding(), libraries:
            return piece_by_piece(arguments, return_type)

    compiler.compile = compile_whole


@contextlib.contextmanager
def _libraries(codegen, kind):
    """Inside, `codegen` makes libraries of this kind."""
    former, codegen._library_class = codegen._library_class, kind
    try:
        yield
    finally:
        codegen._library_class = former


@functools.cache
def _library_of_pieces():
    from numba.core.codegen import JITCodeLibrary

    class Library(JITCodeLibrary):
        """Functions in LLVM's language; machine code when the address of one is asked for.

        Numba stores the addresses of environments, Python objects that a function may refer to,
        in machine code; until there is any, they are kept here, also those of linked libraries.
        """

        def __init__(self, codegen, name):
            super().__init__(codegen, name)
            self._is_machine_code = False
            self._environments = {}

        def _optimize_final_module(self):
            pass

        def _finalize_final_module(self):
            self._finalized = True

        def add_linking_library(self, library):
            super().add_linking_library(library)
            self._environments.update(getattr(library, "_environments", {}))

        def get_pointer_to_function(self, name):
            self._ensure_finalized()
            if not self._is_machine_code and self._defines(name):
                self._make_machine_code()
            return super().get_pointer_to_function(name) if self._is_machine_code else 0

        def _defines(self, name):
            return any(function.name == name for function in self.get_defined_functions())

        def _make_machine_code(self):
            super()._optimize_final_module()
            self._final_module.verify()
            super()._finalize_final_module()
            self._is_machine_code = True
            for name, environment in self._environments.items():
                self.set_env(name, environment)

        @property
        def codegen(self):
            """What Numba sets environments by."""
            return self

        def set_env(self, name, environment):
            """Store an environment's address, once there is machine code of it."""
            self._environments[name] = environment
            if self._is_machine_code and self._codegen._engine.is_symbol_defined(name):
                self._codegen.set_env(name, environment)

    return Library
