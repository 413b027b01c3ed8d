// Dropout on CUDA: y[i] = x[i]·scale where word i of a Philox stream, its upper 24 bits, is at least `least`, else 0. A thread has
// one block of the stream, four elements in row-major order, wherever rows begin and end. A dropped NaN is 0.

template <class T>
__device__ void drop(const T* x, T* y, Strided xs, Strided ys, u32 n, u32 c, u64 seed, u64 stream, u32 least, float scale,
                     u32 accumulate) {
    u32 first = thread_index() * 4;
    if (first >= n) return;
    u32 words[4];
    words_of(first / 4, seed, stream, words);
#pragma unroll
    for (u32 j = 0; j < 4; j++) {
        if (first + j >= n) return;
        u32 row = (first + j) / c, column = (first + j) % c;
        float value = words[j] >> 8 >= least ? widen(x[xs.position(row) + column]) * scale : 0.0f;
        T* out = y + ys.position(row) + column;
        narrow(accumulate ? widen(*out) + value : value, *out);
    }
}

#define DROPOUT(SUFFIX, T)                                                                                                   \
    extern "C" __global__ void dropout_##SUFFIX(const T* x, T* y, Strided xs, Strided ys, u32 n, u32 c, u64 seed,            \
                                                u64 stream, u32 least, float scale, u32 accumulate) {                        \
        drop(x, y, xs, ys, n, c, seed, stream, least, scale, accumulate);                                                    \
    }

DROPOUT(f32, float)
DROPOUT(bf16, bf16)
