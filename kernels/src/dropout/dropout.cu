// Dropout on CUDA: y[i] = x[i]·scale where word i of a Philox stream, its upper 24 bits, is at least `least`, else 0. A thread has
// one block of the stream, four elements in row-major order: a pack, or wherever rows begin and end. A dropped NaN is 0.

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

template <class T>
__device__ void drop_packs(const T* x, T* y, Strided xs, Strided ys, u32 n, u32 c, u64 seed, u64 stream, u32 least, float scale,
                           u32 accumulate) {
    u32 i = thread_index(), row = i / (c / 4), pack = i % (c / 4);
    if (i >= n / 4) return;
    x += xs.position(row);
    y += ys.position(row);
    u32 words[4];
    words_of(i, seed, stream, words);
    float v[4];
    load<T, 4>(x, pack, v);
#pragma unroll
    for (u32 j = 0; j < 4; j++) v[j] = words[j] >> 8 >= least ? v[j] * scale : 0.0f;
    if (accumulate) {
        float old[4];
        load<T, 4>(y, pack, old);
#pragma unroll
        for (u32 j = 0; j < 4; j++) v[j] += old[j];
    }
    store<T, 4>(y, pack, v);
}

#define DROPOUT(SUFFIX, T, FUNCTION)                                                                                         \
    extern "C" __global__ void dropout_##SUFFIX(const T* x, T* y, Strided xs, Strided ys, u32 n, u32 c, u64 seed,            \
                                                u64 stream, u32 least, float scale, u32 accumulate) {                        \
        FUNCTION(x, y, xs, ys, n, c, seed, stream, least, scale, accumulate);                                                \
    }

DROPOUT(f32_packs, float, drop_packs)
DROPOUT(f32_single, float, drop)
DROPOUT(bf16_packs, bf16, drop_packs)
DROPOUT(bf16_single, bf16, drop)
