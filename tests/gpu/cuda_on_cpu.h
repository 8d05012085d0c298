// CUDA C++ on the processor: enough of the language to run this project's kernels under g++.
//
// Every CUDA thread is a fibre with a stack of its own. The blocks of a grid run one after the
// other; within a block, threads run one at a time, each until it waits for the others, and in the
// order that the caller asks for: forward, reverse, or shuffled anew after every barrier. What
// depends on the order is a race, and gives other results in one order than in another.
//
// Where FLUSHES_TO_ZERO is defined, numbers below 1.2e-38 count as zero, as CuPy has kernels compiled
// (-ftz=true). It is for float: the processor would do the same to double, at 2.2e-308.
//
// Stricter than the hardware: shared memory starts as NaN in every block, a barrier that part of a
// block (or warp) does not reach is an error, and so is writing beyond dynamic shared memory.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#if defined(FLUSHES_TO_ZERO) && defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))

using std::max;
using std::min;

extern "C" char __start_shared_memory[] __attribute__((weak));
extern "C" char __stop_shared_memory[] __attribute__((weak));

struct Index {
    unsigned x, y, z;
};

namespace cpu {

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

struct Thread {
    jmp_buf context;
    ucontext_t first_context;
    std::unique_ptr<char[]> stack;
    bool started = false;
    State state = READY;
    int line = 0;  // of the barrier that it waits at
    unsigned exchanges = 0;
    Index index;
};

constexpr int WARP_SIZE = 32, MOST_THREADS = 1024, GUARD = 256, STACK = 1 << 16;
inline std::vector<Thread> threads(MOST_THREADS);
inline std::vector<char> dynamic_shared;
inline unsigned long long exchanged[MOST_THREADS][2];
inline jmp_buf scheduler;
inline std::function<void()> body;
inline Index grid_size, block_size, block_index;
inline int current, count;
inline std::string failure;

[[noreturn]] inline void fail(const std::string& message)
{
    if (failure.empty()) failure = message;
    for (Thread& thread : threads) thread.started = false;
    _longjmp(scheduler, 1);
}

inline void run_fibre()
{
    for (;;) {
        body();
        threads[current].state = DONE;
        if (!_setjmp(threads[current].context)) _longjmp(scheduler, 1);
    }
}

__attribute__((noinline)) inline void resume(int number)
{
    current = number;
    if (_setjmp(scheduler)) return;
    Thread& thread = threads[number];
    if (thread.started) _longjmp(thread.context, 1);
    thread.started = true;
    if (!thread.stack) thread.stack.reset(new char[STACK]);
    getcontext(&thread.first_context);
    thread.first_context.uc_stack.ss_sp = thread.stack.get();
    thread.first_context.uc_stack.ss_size = STACK;
    makecontext(&thread.first_context, run_fibre, 0);
    setcontext(&thread.first_context);
}

__attribute__((noinline)) inline void wait(State state, int line)
{
    Thread& thread = threads[current];
    thread.state = state;
    thread.line = line;
    if (!_setjmp(thread.context)) _longjmp(scheduler, 1);
}

// Let a group of threads go on when all of them wait at the same barrier. False while some do not.
inline bool release(int first, int last, State barrier)
{
    int waiting = 0, done = 0, line = 0;
    for (int i = first; i < last; i++) {
        if (threads[i].state == DONE) done++;
        if (threads[i].state != barrier) continue;
        if (waiting++ && threads[i].line != line)
            return failure = "threads wait at different barriers, lines " + std::to_string(line) +
                             " and " + std::to_string(threads[i].line), false;
        line = threads[i].line;
    }
    if (waiting && waiting + done == last - first && done)
        return failure = "some threads left before the barrier of line " + std::to_string(line), false;
    if (!waiting || waiting < last - first) return false;
    for (int i = first; i < last; i++) threads[i].state = READY;
    return true;
}

inline bool release_any()
{
    bool any = false;
    for (int first = 0; first < count; first += WARP_SIZE)
        any |= release(first, min(first + WARP_SIZE, count), AT_WARP_BARRIER);
    return release(0, count, AT_BLOCK_BARRIER) || any;
}

inline void run_block(unsigned order, std::mt19937& random)
{
    std::vector<int> turns(count);
    for (int i = 0; i < count; i++) {
        threads[i].state = READY;
        threads[i].exchanges = 0;
        threads[i].index = {i % block_size.x, i / block_size.x % block_size.y,
                            i / block_size.x / block_size.y};
        turns[i] = order == 1 ? count - 1 - i : i;
    }
    if (__start_shared_memory)
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
    std::fill(dynamic_shared.begin(), dynamic_shared.end(), char(0xff));
    do {
        if (order > 1) std::shuffle(turns.begin(), turns.end(), random);
        for (int i : turns) {
            if (threads[i].state == READY) resume(i);
            if (!failure.empty()) return;
        }
    } while (release_any() && failure.empty());
    for (int i = 0; i < count && failure.empty(); i++)
        if (threads[i].state != DONE)
            failure = "some threads wait for ever at the barrier of line " +
                      std::to_string(threads[i].line);
    for (size_t i = dynamic_shared.size() - GUARD; i < dynamic_shared.size(); i++)
        if (dynamic_shared[i] != char(0xff) && failure.empty())
            failure = "a thread wrote beyond the dynamic shared memory";
}

// Reading or writing far outside of an array meets memory that may not be touched.
inline void on_forbidden_memory(int)
{
    fail("a thread of block " + std::to_string(block_index.x) + " touched memory outside of an array");
}

// While it lives, forbidden memory is reported and not the end of the process.
struct Guarded {
    struct sigaction former[2];
    Guarded()
    {
        struct sigaction action = {};
        action.sa_handler = on_forbidden_memory;
        action.sa_flags = SA_NODEFER;
        sigaction(SIGSEGV, &action, &former[0]);
        sigaction(SIGBUS, &action, &former[1]);
    }
    ~Guarded()
    {
        sigaction(SIGSEGV, &former[0], nullptr);
        sigaction(SIGBUS, &former[1], nullptr);
    }
};

// While it lives, the processor takes numbers that are not normal for zeros, and gives zeros.
struct Flushing {
#if defined(FLUSHES_TO_ZERO) && defined(__SSE__)
    unsigned former = _mm_getcsr();
    Flushing() { _mm_setcsr(former | 0x8040); }
    ~Flushing() { _mm_setcsr(former); }
#else
    Flushing() {}
#endif
};

// Order 0: forward, 1: reverse, others: seeds of shuffled orders. An empty text when all went well.
inline const char* launch(const unsigned* grid, const unsigned* block, size_t shared,
                          unsigned order, std::function<void()> kernel)
{
    grid_size = {grid[0], grid[1], grid[2]};
    block_size = {block[0], block[1], block[2]};
    count = block[0] * block[1] * block[2];
    body = kernel;
    failure.clear();
    Guarded guarded;
    Flushing flushing;
    dynamic_shared.assign(shared + GUARD, char(0xff));
    std::mt19937 random(order);
    std::vector<unsigned> blocks(grid[0] * grid[1] * grid[2]);
    for (unsigned i = 0; i < blocks.size(); i++)
        blocks[i] = order == 1 ? blocks.size() - 1 - i : i;
    if (order > 1) std::shuffle(blocks.begin(), blocks.end(), random);
    for (unsigned i : blocks) {
        block_index = {i % grid[0], i / grid[0] % grid[1], i / grid[0] / grid[1]};
        run_block(order, random);
        if (!failure.empty()) {
            for (Thread& thread : threads) thread.started = false;
            break;
        }
    }
    return failure.c_str();
}

// One value per lane goes out, that of lane `source` comes in. Two places, used in turns, make one
// barrier enough: a place is written again only after another barrier.
template <class T> T exchange(T value, int source, int line)
{
    static_assert(sizeof(T) <= sizeof(exchanged[0][0]));
    int first = current / WARP_SIZE * WARP_SIZE, place = threads[current].exchanges++ % 2;
    memcpy(&exchanged[current][place], &value, sizeof value);
    wait(AT_WARP_BARRIER, line);
    if (first + source >= count) fail("a lane that does not exist was read, line " + std::to_string(line));
    memcpy(&value, &exchanged[first + source][place], sizeof value);
    return value;
}

}  // namespace cpu

#define threadIdx (cpu::threads[cpu::current].index)
#define blockIdx cpu::block_index
#define blockDim cpu::block_size
#define gridDim cpu::grid_size
#define __syncthreads() cpu::wait(cpu::AT_BLOCK_BARRIER, __LINE__)
#define __syncwarp(...) cpu::wait(cpu::AT_WARP_BARRIER, __LINE__)
#define __shfl_xor_sync(mask, value, distance) \
    cpu::exchange(value, cpu::current % cpu::WARP_SIZE ^ (distance), __LINE__)
#define __shfl_sync(mask, value, source) cpu::exchange(value, source, __LINE__)

inline float __uint_as_float(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

template <class T, class U> T atomicAdd(T* place, U value)
{
    T former = *place;
    *place += value;
    return former;
}

template <class T, class U> T atomicMax(T* place, U value)
{
    T former = *place;
    if (value > former) *place = value;
    return former;
}
