// y = a·x + b·z on CUDA with numbers a and b that stay in device memory: a thread per pack. The gradient Σ dy·x of such a number is a
// sum over everything: a warp per row first, in f64, then one block over the rows' sums; the order depends on the shape alone.

#define FORWARD(SUFFIX, T, N)                                                                                              \
    extern "C" __global__ void mix_fwd_##SUFFIX(const T* x, const T* z, T* y, const float* a, const float* b, Strided xs,  \
                                                Strided zs, Strided ys, u32 rows, u32 c) {                                 \
        Place at(rows, c / N);                                                                                             \
        if (!at.inside) return;                                                                                            \
        float left[N], right[N];                                                                                           \
        load<T, N>(x + xs.position(at.row), at.pack, left);                                                                \
        load<T, N>(z + zs.position(at.row), at.pack, right);                                                               \
        _Pragma("unroll") for (u32 j = 0; j < N; j++) left[j] = fmaf(*a, left[j], *b * right[j]);                          \
        store<T, N>(y + ys.position(at.row), at.pack, left);                                                               \
    }

#define PRODUCTS(SUFFIX, T, N)                                                                                             \
    extern "C" __global__ void mix_products_##SUFFIX(const T* dy, const T* x, double* sums, Strided dys, Strided xs,       \
                                                     u32 rows, u32 c) {                                                    \
        u32 row = warp_row();                                                                                              \
        if (row >= rows) return;                                                                                           \
        double sum = row_product<T, N>(dy + dys.position(row), x + xs.position(row), c);                                   \
        if (threadIdx.x % 32 == 0) sums[row] = sum;                                                                        \
    }

BY_ROWS(FORWARD)
BY_ROWS(PRODUCTS)

extern "C" __global__ void mix_sum(const double* sums, float* da, u32 rows, u32 accumulate) {
    __shared__ double parts[8];
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < rows; i += 256) sum += sums[i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (u32 w = 1; w < 8; w++) sum += parts[w];
    *da = (float)(accumulate ? *da + sum : sum);
}
