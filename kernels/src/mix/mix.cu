// y = a·x + b·z on CUDA with numbers a and b that stay in device memory: a thread per pack. The gradient Σ dy·x of such a number is a
// sum over everything: a warp per row first, in f64, then a block for each number over the rows' sums; the order depends on the shape
// alone. Where all gradients are wanted, the warp that has dy's row makes everything of it, and dy is read once.

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

#define BACKWARD(SUFFIX, T, N)                                                                                             \
    extern "C" __global__ void mix_bwd_##SUFFIX(const T* dy, const T* x, const T* z, T* dx, T* dz, const float* a,         \
                                                const float* b, double* sums, Strided dys, Strided xs, Strided zs,         \
                                                Strided dxs, Strided dzs, u32 rows, u32 c, u32 add_x, u32 add_z) {         \
        u32 row = warp_row();                                                                                              \
        if (row >= rows) return;                                                                                           \
        double left = 0.0, right = 0.0;                                                                                    \
        float d[N], v[N];                                                                                                  \
        _Pragma("unroll 1") for (u32 i = threadIdx.x % 32; i < c / N; i += 32) {                                           \
            load<T, N>(dy + dys.position(row), i, d);                                                                      \
            load<T, N>(x + xs.position(row), i, v);                                                                        \
            _Pragma("unroll") for (u32 j = 0; j < N; j++) left += (double)d[j] * v[j];                                     \
            load<T, N>(z + zs.position(row), i, v);                                                                        \
            _Pragma("unroll") for (u32 j = 0; j < N; j++) right += (double)d[j] * v[j];                                    \
            _Pragma("unroll") for (u32 j = 0; j < N; j++) v[j] = *a * d[j];                                                \
            put<T, N>(v, dx + dxs.position(row), i, add_x);                                                                \
            _Pragma("unroll") for (u32 j = 0; j < N; j++) v[j] = *b * d[j];                                                \
            put<T, N>(v, dz + dzs.position(row), i, add_z);                                                                \
        }                                                                                                                  \
        left = warp_sum(left);                                                                                             \
        right = warp_sum(right);                                                                                           \
        if (threadIdx.x % 32 == 0) sums[row] = left, sums[rows + row] = right;                                             \
    }

BY_ROWS(FORWARD)
BY_ROWS(PRODUCTS)
BY_ROWS(BACKWARD)

// Block 0 for da, block 1 for db.
extern "C" __global__ void mix_sum(const double* sums, float* da, float* db, u32 rows, u32 add_a, u32 add_b) {
    __shared__ double parts[8];
    float* to = blockIdx.x == 0 ? da : db;
    u32 accumulate = blockIdx.x == 0 ? add_a : add_b;
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < rows; i += 256) sum += sums[blockIdx.x * rows + i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (u32 w = 1; w < 8; w++) sum += parts[w];
    *to = (float)(accumulate ? *to + sum : sum);
}
