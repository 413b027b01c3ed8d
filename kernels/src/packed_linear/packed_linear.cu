// y = x·Wᵀ on CUDA with W in panels of 32 rows: P[t][k][c] = W[32t + c][k]. A block has one row of x and one panel: lane c has a sum,
// each of 8 warps an eighth of K, and the eighths are added in their order. A panel is read in one straight line. What drawing a token
// takes is reading W once, so nothing is made of tensor cores here.
//
// int8: four neighbours of a panel share a word; the sum is scaled, then rounded once.

const u32 WARPS = 8;

template <class T>
__device__ inline float weight(const T* panel, u32 k, u32 lane) { return widen(panel[k * 32 + lane]); }
__device__ inline float weight(const u32* panel, u32 k, u32 lane) {
    return (float)(signed char)(panel[k * 8 + lane / 4] >> (lane % 4 * 8));
}

template <class T, class W, class Y>
__device__ void linear(const T* x, const W* w, const float* scale, Y* y, u32 n, u32 k, u32 words) {
    __shared__ float parts[WARPS * 32];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, panels = (n + 31) / 32;
    u32 panel = blockIdx.x % panels, row = blockIdx.x / panels, column = panel * 32 + lane;
    x += (u64)row * k;
    w += (u64)panel * k * words;
    u32 share = (k + WARPS - 1) / WARPS, end = min(k, (warp + 1) * share);
    float sum = 0.0f;
#pragma unroll 4
    for (u32 i = warp * share; i < end; i++) sum = fmaf(widen(x[i]), weight(w, i, lane), sum);
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (warp != 0 || column >= n) return;
    for (u32 other = 1; other < WARPS; other++) sum += parts[other * 32 + lane];
    narrow(scale ? scale[column] * sum : sum, y[(u64)row * n + column]);
}

#define PACKED(SUFFIX, T, Y)                                                                                                 \
    extern "C" __global__ void packed_linear_##SUFFIX(const T* x, const T* w, Y* y, u32 n, u32 k) {                          \
        linear(x, w, (const float*)0, y, n, k, 32);                                                                          \
    }                                                                                                                        \
    extern "C" __global__ void packed_linear_int8_##SUFFIX(const T* x, const u32* w, const float* scale, Y* y, u32 n,        \
                                                           u32 k) {                                                          \
        linear(x, w, scale, y, n, k, 8);                                                                                     \
    }

PACKED(f32_f32, float, float)
PACKED(bf16_f32, bf16, float)
PACKED(bf16_bf16, bf16, bf16)
