// Barriers: kernels that need them, each in a right version and in one with a mistake that somebody could make.
// One block's job is small on purpose; what matters is who may touch shared memory when. Every kernel is `f<WRONG>`.
#define PAIR(f)                                                                                       \
    extern "C" __global__ void f##_right(float *out, const float *in, int n) { f<false>(out, in, n); } \
    extern "C" __global__ void f##_wrong(float *out, const float *in, int n) { f<true>(out, in, n); }
#define BODY(f) template <bool WRONG> __device__ __forceinline__ void f(float *out, const float *in, int n)

// The block turns its part of the input round.
BODY(missing) {
    __shared__ float s[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    s[t] = in[i];
    if (!WRONG) __syncthreads();
    out[i] = s[63 - t];
}
PAIR(missing)

// The barrier stands before the write that it should follow.
BODY(misplaced) {
    __shared__ float s[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    s[t] = 0.f;
    __syncthreads();
    float x = in[i];
    if (WRONG) __syncthreads();
    s[t] = x;
    if (!WRONG) __syncthreads();
    out[i] = s[63 - t];
}
PAIR(misplaced)

// A buffer is filled again while the other warp may still read it.
BODY(trailing) {
    __shared__ float s[64];
    int t = threadIdx.x;
    float sum = 0.f;
    for (int k = 0; k < n; k += 64) {
        s[t] = in[k + t];
        __syncthreads();
        sum += s[63 - t];
        if (!WRONG) __syncthreads();
    }
    out[blockIdx.x * 64 + t] = sum;
}
PAIR(trailing)

// Only one warp comes to the barrier.
BODY(one_warp) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = in[t];
    if (!WRONG || t < 32) __syncthreads();
    out[blockIdx.x * 64 + t] = s[t];
}
PAIR(one_warp)

// Only half of each warp comes to it.
BODY(half_warp) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = in[t];
    if (!WRONG || (t & 31) < 16) __syncthreads();
    out[blockIdx.x * 64 + t] = s[t];
}
PAIR(half_warp)

// The warps meet at two different barriers of the program.
BODY(two_places) {
    __shared__ float s[64];
    int t = threadIdx.x;
    if (!WRONG) {
        s[t] = t < 32 ? in[t] : 2.f;
        __syncthreads();
    } else if (t < 32) {
        s[t] = in[t];
        __syncthreads();
        s[t] += s[t + 32];
    } else {
        s[t] = 2.f;
        __syncthreads();
    }
    out[blockIdx.x * 64 + t] = s[t];
}
PAIR(two_places)

// The warps execute the barrier a different number of times.
BODY(unequal_loops) {
    int t = threadIdx.x, rounds = WRONG ? 1 + t / 32 : 2;
    for (int k = 0; k < rounds; k++) __syncthreads();
    out[blockIdx.x * 64 + t] = in[t];
}
PAIR(unequal_loops)

// A named barrier waits for more threads than come.
BODY(wrong_count) {
    int t = threadIdx.x;
    if (t < 32) {
        if (WRONG) asm volatile("bar.sync 1, 64;" ::: "memory");
        else asm volatile("bar.sync 1, 32;" ::: "memory");
    }
    out[blockIdx.x * 64 + t] = in[t];
}
PAIR(wrong_count)

// The two warps wait at barriers of different numbers.
BODY(wrong_number) {
    int t = threadIdx.x;
    int id = WRONG ? 1 + t / 32 : 1;
    asm volatile("bar.sync %0, 64;" ::"r"(id) : "memory");
    out[blockIdx.x * 64 + t] = in[t];
}
PAIR(wrong_number)

// A tree of sums with no barrier between its levels.
BODY(tree) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = in[blockIdx.x * 64 + t];
    __syncthreads();
    for (int half = 32; half > 0; half /= 2) {
        if (t < half) s[t] += s[t + half];
        if (!WRONG) __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = s[0];
}
PAIR(tree)

// A running sum that reads and writes one array in the same step.
BODY(scan) {
    __shared__ float s[2][64];
    int t = threadIdx.x, from = 0;
    s[0][t] = in[blockIdx.x * 64 + t];
    __syncthreads();
    for (int by = 1; by < 64; by *= 2) {
        int to = WRONG ? from : 1 - from;
        s[to][t] = s[from][t] + (t >= by ? s[from][t - by] : 0.f);
        __syncthreads();
        from = to;
    }
    out[blockIdx.x * 64 + t] = s[from][t];
}
PAIR(scan)

// Two buffers in turn, but the next tile goes into the one that is being read.
BODY(double_buffer) {
    __shared__ float s[2][64];
    int t = threadIdx.x;
    float sum = 0.f;
    s[0][t] = in[t];
    __syncthreads();
    for (int k = 0; k + 64 < n; k += 64) {
        int now = k / 64 & 1, next = WRONG ? now : 1 - now;
        s[next][t] = in[k + 64 + t];
        sum += s[now][63 - t];
        __syncthreads();
    }
    out[blockIdx.x * 64 + t] = sum;
}
PAIR(double_buffer)

// The first thread adds what the warps have left in shared memory.
BODY(partial_sums) {
    __shared__ float s[2];
    int t = threadIdx.x;
    if (t < 2) s[t] = 0.f;
    __syncthreads();
    float x = in[blockIdx.x * 64 + t];
    for (int k = 16; k; k /= 2) x += __shfl_xor_sync(~0u, x, k);
    if ((t & 31) == 0) s[t / 32] = x;
    if (!WRONG) __syncthreads();
    if (t == 0) out[blockIdx.x] = s[0] + s[1];
}
PAIR(partial_sums)

// A warp produces, the other consumes; the consumer only announces itself instead of waiting.
BODY(producer) {
    __shared__ float s[32];
    int t = threadIdx.x;
    if (t < 32) {
        s[t] = in[t];
        asm volatile("bar.arrive 2, 64;" ::: "memory");
    } else {
        if (WRONG) asm volatile("bar.arrive 2, 64;" ::: "memory");
        else asm volatile("bar.sync 2, 64;" ::: "memory");
        out[blockIdx.x * 32 + t - 32] = s[t - 32];
    }
}
PAIR(producer)
