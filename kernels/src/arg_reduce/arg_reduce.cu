// Where the largest or smallest element along an axis is, on CUDA: a warp per result. Each element becomes a 64-bit candidate, its key
// above and below it its place, complemented: the largest candidate is the largest element, the lowest place among equals, and
// the first NaN if there is one. `step` is the stride along the axis.

template <class T>
__device__ void arg_reduce(const T* x, int* y, Strided xs, Strided ys, u32 results, u32 length, u64 step, u32 smallest) {
    u32 result = thread_index() / 32, lane = threadIdx.x % 32;
    if (result >= results) return;
    x += xs.position(result);
    u64 best = 0;
#pragma unroll 1
    for (u32 i = lane; i < length; i += 32) {
        float value = widen(x[i * step]);
        u64 own = (u64)(smallest ? falling_key_of(value) : key_of(value)) << 32 | (0xffffffffu - i);
        best = own > best ? own : best;
    }
#pragma unroll
    for (int far = 16; far > 0; far /= 2) {
        u64 other = __shfl_xor_sync(0xffffffff, best, far);
        best = other > best ? other : best;
    }
    if (lane == 0) y[ys.position(result)] = (int)(0xffffffffu - (u32)best);
}

#define ARG_REDUCE(SUFFIX, T)                                                                                                \
    extern "C" __global__ void arg_reduce_##SUFFIX(const T* x, int* y, Strided xs, Strided ys, u32 results, u32 length,      \
                                                   u64 step, u32 smallest) {                                                 \
        arg_reduce(x, y, xs, ys, results, length, step, smallest);                                                           \
    }

ARG_REDUCE(f32, float)
ARG_REDUCE(bf16, bf16)
