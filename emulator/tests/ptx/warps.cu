// Inside a warp: kernels that rely on the order of its lanes, or on which lanes take part, right and wrong.
#define PAIR(f)                                                                                       \
    extern "C" __global__ void f##_right(float *out, const float *in, int n) { f<false>(out, in, n); } \
    extern "C" __global__ void f##_wrong(float *out, const float *in, int n) { f<true>(out, in, n); }
#define BODY(f) template <bool WRONG> __device__ __forceinline__ void f(float *out, const float *in, int n)

// Neighbours exchange through shared memory.
BODY(exchange) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = in[t];
    if (!WRONG) __syncwarp();
    out[blockIdx.x * 64 + t] = s[t ^ 1];
}
PAIR(exchange)

// Each lane takes its neighbour's number and puts it into its own place.
BODY(shift) {
    __shared__ float s[65];
    int t = threadIdx.x;
    s[t] = in[t];
    if (t == 63) s[64] = 0.f;
    __syncthreads();
    float x = s[t + 1];
    if (WRONG) __syncwarp();
    else __syncthreads();
    s[t] = x;
    out[blockIdx.x * 64 + t] = s[t];
}
PAIR(shift)

// The same inside one warp, with nothing between reading and writing.
BODY(shift_warp) {
    __shared__ float s[64];
    int t = threadIdx.x, next = (t & 32) | ((t + 1) & 31);
    s[t] = in[t];
    __syncwarp();
    float x = s[next];
    if (!WRONG) __syncwarp();
    s[t] = x;
    out[blockIdx.x * 64 + t] = s[t];
}
PAIR(shift_warp)

// All lanes write one place; only if they write the same is it defined.
BODY(one_place) {
    __shared__ float s[2];
    int t = threadIdx.x;
    s[t / 32] = WRONG ? in[t] : in[t / 32];
    __syncwarp();
    out[blockIdx.x * 64 + t] = s[t / 32];
}
PAIR(one_place)

// A histogram without atomics.
BODY(histogram) {
    __shared__ unsigned s[4];
    int t = threadIdx.x;
    if (t < 4) s[t] = 0;
    __syncthreads();
    unsigned bin = (unsigned)(in[t] * 4.f) & 3;
    if (WRONG) s[bin] = s[bin] + 1;
    else atomicAdd(&s[bin], 1u);
    __syncthreads();
    if (t < 4) out[blockIdx.x * 4 + t] = s[t];
}
PAIR(histogram)

// A shuffle that names all lanes is executed by a half.
BODY(mask_too_large) {
    int t = threadIdx.x;
    float x = in[t];
    if ((t & 31) < 16) x = __shfl_xor_sync(WRONG ? 0xffffffffu : 0xffffu, x, 1);
    out[blockIdx.x * 64 + t] = x;
}
PAIR(mask_too_large)

// A shuffle reads from the half that does not take part.
BODY(reads_outside) {
    int t = threadIdx.x;
    float x = in[t];
    if ((t & 31) < 16) x = __shfl_xor_sync(0xffffu, x, WRONG ? 16 : 8);
    out[blockIdx.x * 64 + t] = x;
}
PAIR(reads_outside)

// A vote is executed by lanes that its mask does not name.
BODY(mask_too_small) {
    int t = threadIdx.x;
    unsigned votes = __ballot_sync(WRONG ? 0xffffu : 0xffffffffu, in[t] > 0.5f);
    out[blockIdx.x * 64 + t] = votes;
}
PAIR(mask_too_small)

// Lanes wait for each other at two shuffles.
BODY(two_shuffles) {
    int t = threadIdx.x;
    float x = in[t];
    if (WRONG) {
        if ((t & 31) < 16) x = __shfl_xor_sync(~0u, x, 1) + 1.f;
        else x = __shfl_xor_sync(~0u, x, 2);
    } else {
        float a = __shfl_xor_sync(~0u, x, 1), b = __shfl_xor_sync(~0u, x, 2);
        x = (t & 31) < 16 ? a + 1.f : b;
    }
    out[blockIdx.x * 64 + t] = x;
}
PAIR(two_shuffles)

// A warp barrier whose mask is not that of the lanes that come.
BODY(warp_barrier_mask) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = in[t];
    if ((t & 31) < 8) __syncwarp(WRONG ? 0xff00u : 0xffu);
    out[blockIdx.x * 64 + t] = s[t];
}
PAIR(warp_barrier_mask)

// A sum over a warp with one step missing: only the result shows it.
BODY(short_sum) {
    int t = threadIdx.x;
    float x = in[t];
    for (int k = WRONG ? 8 : 16; k; k /= 2) x += __shfl_xor_sync(~0u, x, k);
    out[blockIdx.x * 64 + t] = x;
}
PAIR(short_sum)
