// A gate per head from a row's first channels on CUDA: g = scale·σ(a), a = x[:n]·Wᵀ. So few channels that a thread computes a gate
// alone; the weights come from the caches.
//
// Backward needs da = dg·scale·σ·(1 − σ) of every gate; a dozen products make it again wherever it is read, which costs less than a
// launch that keeps it. dx[:n] += da·W is a thread per element, and each element of dW = Σ da·x a block, which sums over the rows in
// f64, always in the same order.

template <class T>
__device__ float argument(const T* x, const float* w, u32 n) {
    float sum = 0.0f;
#pragma unroll 4
    for (u32 j = 0; j < n; j++) sum = fmaf(widen(x[j]), w[j], sum);
    return sum;
}

template <class T>
__device__ void forward(const T* x, const float* w, T* g, Strided xs, Strided ws, Strided gs, u32 count, u32 heads, u32 n,
                        float scale) {
    u32 i = thread_index(), row = i / heads, head = i % heads;
    if (i >= count) return;
    float a = argument(x + xs.position(row), w + ws.position(head), n);
    narrow(scale / (1.0f + expf(-a)), g[gs.position(row) + head]);
}

// da of one gate.
template <class T>
__device__ float slope(T dg, const T* x, const float* w, u32 n, float scale) {
    float a = argument(x, w, n);
    float rest = expf(-fabsf(a)), whole = 1.0f / (1.0f + rest); // σ(1 − σ) is even in a
    return widen(dg) * scale * rest * whole * whole;
}

template <class T>
__device__ void backward_x(const T* dg, const T* x, const float* w, T* dx, Strided dgs, Strided xs, Strided ws, Strided dxs,
                           u32 count, u32 c, u32 heads, u32 n, float scale, u32 accumulate) {
    u32 i = thread_index(), row = i / c, column = i % c;
    if (i >= count || (accumulate && column >= n)) return;
    T* out = dx + dxs.position(row) + column;
    float sum = accumulate ? widen(*out) : 0.0f;
#pragma unroll 1
    for (u32 head = 0; column < n && head < heads; head++) {
        const float* weights = w + ws.position(head);
        sum = fmaf(slope(dg[dgs.position(row) + head], x + xs.position(row), weights, n, scale), weights[column], sum);
    }
    narrow(sum, *out);
}

template <class T>
__device__ void backward_w(const T* dg, const T* x, const float* w, float* dw, Strided dgs, Strided xs, Strided ws, Strided dws,
                           u32 rows, u32 heads, u32 n, float scale, u32 accumulate) {
    __shared__ double parts[8];
    u32 head = blockIdx.x / n, column = blockIdx.x % n;
    double sum = 0.0;
#pragma unroll 1
    for (u32 row = threadIdx.x; row < rows; row += 256) {
        const T* from = x + xs.position(row);
        sum += (double)slope(dg[dgs.position(row) + head], from, w + ws.position(head), n, scale) * widen(from[column]);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (u32 warp = 1; warp < 8; warp++) sum += parts[warp];
    float* out = dw + dws.position(head) + column;
    *out = (float)(accumulate ? *out + sum : sum);
}

#define GATE(SUFFIX, T)                                                                                                    \
    extern "C" __global__ void channel_gate_fwd_##SUFFIX(const T* x, const float* w, T* g, Strided xs, Strided ws,         \
                                                         Strided gs, u32 count, u32 heads, u32 n, float scale) {           \
        forward(x, w, g, xs, ws, gs, count, heads, n, scale);                                                              \
    }                                                                                                                      \
    extern "C" __global__ void channel_gate_bwd_x_##SUFFIX(const T* dg, const T* x, const float* w, T* dx, Strided dgs,    \
                                                           Strided xs, Strided ws, Strided dxs, u32 count, u32 c,          \
                                                           u32 heads, u32 n, float scale, u32 accumulate) {                \
        backward_x(dg, x, w, dx, dgs, xs, ws, dxs, count, c, heads, n, scale, accumulate);                                 \
    }                                                                                                                      \
    extern "C" __global__ void channel_gate_bwd_w_##SUFFIX(const T* dg, const T* x, const float* w, float* dw,             \
                                                           Strided dgs, Strided xs, Strided ws, Strided dws, u32 rows,     \
                                                           u32 heads, u32 n, float scale, u32 accumulate) {                \
        backward_w(dg, x, w, dw, dgs, xs, ws, dws, rows, heads, n, scale, accumulate);                                     \
    }

GATE(f32, float)
GATE(bf16, bf16)
