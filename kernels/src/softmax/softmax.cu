// Softmax and log-sum-exp along the last axis on CUDA, one warp per row, as in `rms_norm.cu`: a lane keeps its packs of the
// row in shared memory as f32 and reads back only what it wrote itself, so each input is read once and each output written
// once. Rows longer than shared memory (`keep` is 0) are read again for the result.
//
// y = exp(x − m)/s, lse = m + ln s with m = max x, s = Σ exp(x − m); dx = y∘(dy − Σ dy∘y); dx = exp(x − lse)·dl.

extern __shared__ __align__(16) float kept[];

// The packs of one row that this lane has, from shared memory where they are kept.
template <class T, u32 N>
struct Row {
    const T* from;
    float* own;
    u32 packs, keep;

    __device__ void first(u32 pack, float* out) const {
        load<T, N>(from, pack, out);
        if (keep) {
#pragma unroll
            for (u32 j = 0; j < N; j++) own[j * packs + pack] = out[j];
        }
    }
    __device__ void again(u32 pack, float* out) const {
        if (!keep) return load<T, N>(from, pack, out);
#pragma unroll
        for (u32 j = 0; j < N; j++) out[j] = own[j * packs + pack];
    }
};

// The row's maximum (NaN if there is one) and its sum of exponentials, in one pass: a lane scales its sum anew when its maximum
// grows. It begins at a finite maximum, so that −∞ adds exp(−∞) = 0; what did not grow is not scaled, since approximations may miss e⁰.
template <class T, u32 N>
__device__ void statistics(const Row<T, N>& row, float& max, float& sum) {
    u32 lane = threadIdx.x % 32;
    float v[N], own = -3.402823466e38f;
    sum = 0.0f;
    for (u32 i = lane; i < row.packs; i += 32) {
        row.first(i, v);
        float most = own;
#pragma unroll
        for (u32 j = 0; j < N; j++) most = larger(v[j], most);
        if (most != own) sum *= expf(own - most);
        own = most;
#pragma unroll
        for (u32 j = 0; j < N; j++) sum += expf(v[j] - own);
    }
    max = warp_max(own);
    sum = warp_sum(own == max ? sum : sum * expf(own - max));
}

template <class T, u32 N>
__device__ void add_old(const T* dx, u32 pack, u32 accumulate, float* v) {
    if (!accumulate) return;
    float old[N];
    load<T, N>(dx, pack, old);
#pragma unroll
    for (u32 j = 0; j < N; j++) v[j] += old[j];
}

#define ROW                                                                                          \
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x * (blockDim.x / 32) + warp; \
    if (row >= rows) return

template <class T, u32 N>
__device__ void softmax_fwd(const T* x, T* y, Strided xs, Strided ys, u32 rows, u32 c, u32 keep) {
    ROW;
    Row<T, N> in = {x + xs.position(row), kept + warp * c, c / N, keep};
    y += ys.position(row);
    float max, sum, v[N];
    statistics(in, max, sum);
    for (u32 i = lane; i < in.packs; i += 32) {
        in.again(i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) v[j] = expf(v[j] - max) / sum;
        store<T, N>(y, i, v);
    }
}

template <class T, u32 N>
__device__ void softmax_bwd(const T* dy, const T* y, T* dx, Strided dys, Strided ys, Strided dxs, u32 rows, u32 c,
                            u32 accumulate, u32 keep) {
    ROW;
    Row<T, N> gs = {dy + dys.position(row), kept + warp * 2 * c, c / N, keep};
    Row<T, N> ps = {y + ys.position(row), gs.own + c, c / N, keep};
    dx += dxs.position(row);
    float dot = 0.0f, g[N], p[N];
    for (u32 i = lane; i < gs.packs; i += 32) {
        gs.first(i, g);
        ps.first(i, p);
#pragma unroll
        for (u32 j = 0; j < N; j++) dot += g[j] * p[j];
    }
    dot = warp_sum(dot);
    for (u32 i = lane; i < gs.packs; i += 32) {
        gs.again(i, g);
        ps.again(i, p);
#pragma unroll
        for (u32 j = 0; j < N; j++) g[j] = p[j] * (g[j] - dot);
        add_old<T, N>(dx, i, accumulate, g);
        store<T, N>(dx, i, g);
    }
}

template <class T, u32 N>
__device__ void logsumexp_fwd(const T* x, float* lse, Strided xs, Strided ls, u32 rows, u32 c, u32 keep) {
    ROW;
    Row<T, N> in = {x + xs.position(row), kept + warp * c, c / N, keep};
    float max, sum;
    statistics(in, max, sum);
    if (lane == 0) lse[ls.position(row)] = isinf(max) ? max : max + logf(sum);
}

template <class T, u32 N>
__device__ void logsumexp_bwd(const T* x, const float* lse, const float* dl, T* dx, Strided xs, Strided ls, Strided dls,
                              Strided dxs, u32 rows, u32 c, u32 accumulate) {
    ROW;
    x += xs.position(row);
    dx += dxs.position(row);
    float total = lse[ls.position(row)], scale = dl[dls.position(row)], v[N];
    for (u32 i = lane; i < c / N; i += 32) {
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) v[j] = expf(v[j] - total) * scale;
        add_old<T, N>(dx, i, accumulate, v);
        store<T, N>(dx, i, v);
    }
}

#define SOFTMAX(SUFFIX, T, N)                                                                                         \
    extern "C" __global__ void softmax_fwd_##SUFFIX(const T* x, T* y, Strided xs, Strided ys, u32 rows, u32 c,        \
                                                    u32 keep) {                                                       \
        softmax_fwd<T, N>(x, y, xs, ys, rows, c, keep);                                                               \
    }                                                                                                                 \
    extern "C" __global__ void softmax_bwd_##SUFFIX(const T* dy, const T* y, T* dx, Strided dys, Strided ys,          \
                                                    Strided dxs, u32 rows, u32 c, u32 accumulate, u32 keep) {         \
        softmax_bwd<T, N>(dy, y, dx, dys, ys, dxs, rows, c, accumulate, keep);                                        \
    }                                                                                                                 \
    extern "C" __global__ void logsumexp_fwd_##SUFFIX(const T* x, float* lse, Strided xs, Strided ls, u32 rows,       \
                                                      u32 c, u32 keep) {                                              \
        logsumexp_fwd<T, N>(x, lse, xs, ls, rows, c, keep);                                                           \
    }                                                                                                                 \
    extern "C" __global__ void logsumexp_bwd_##SUFFIX(const T* x, const float* lse, const float* dl, T* dx,           \
                                                      Strided xs, Strided ls, Strided dls, Strided dxs, u32 rows,     \
                                                      u32 c, u32 accumulate) {                                        \
        logsumexp_bwd<T, N>(x, lse, dl, dx, xs, ls, dls, dxs, rows, c, accumulate);                                   \
    }

SOFTMAX(f32_packs, float, 4)
SOFTMAX(f32_single, float, 1)
SOFTMAX(bf16_packs, bf16, 8)
SOFTMAX(bf16_single, bf16, 1)
