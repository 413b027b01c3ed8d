// Elementwise work on rows that are dense in themselves: thread i has pack i of all rows' packs, N numbers of c. Put between the
// prelude and the `.cu` files that need it.

struct Place {
    u32 row, pack;
    bool inside;

    __device__ Place(u32 rows, u32 packs) {
        u32 i = thread_index();
        row = i / packs;
        pack = i - row * packs;
        inside = row < rows;
    }
};

// A warp has a row: its number, or one beyond the last.
__device__ inline u32 warp_row() { return thread_index() / 32; }

// Σ a·b over a row, by the warp, in f64: terms of both signs nearly cancel.
template <class T, u32 N>
__device__ double row_product(const T* a, const T* b, u32 c) {
    double sum = 0.0;
    float x[N], y[N];
#pragma unroll 1
    for (u32 i = threadIdx.x % 32; i < c / N; i += 32) {
        load<T, N>(a, i, x);
        load<T, N>(b, i, y);
#pragma unroll
        for (u32 j = 0; j < N; j++) sum += (double)x[j] * y[j];
    }
    return warp_sum(sum);
}

// to = value, or to += value.
template <class T>
__device__ inline void put(double value, T& to, u32 accumulate) {
    narrow((float)(accumulate ? widen(to) + value : value), to);
}
template <class T, u32 N>
__device__ inline void put(float* values, T* row, u32 pack, u32 accumulate) {
    if (accumulate) {
        float old[N];
        load<T, N>(row, pack, old);
#pragma unroll
        for (u32 j = 0; j < N; j++) values[j] += old[j];
    }
    store<T, N>(row, pack, values);
}

// Both dtypes, with packs and without.
#define BY_ROWS(KERNEL)       \
    KERNEL(f32_packs, float, 4) \
    KERNEL(f32_single, float, 1) \
    KERNEL(bf16_packs, bf16, 8) \
    KERNEL(bf16_single, bf16, 1)
