// Two kernels that do real work, for benchmarks and as examples: squared ReLU on bf16, eight numbers a thread, and RMSNorm on
// rows of f32. No includes; bf16 goes through its bits.
typedef unsigned short bf16;
struct alignas(16) Eight { bf16 x[8]; };

__device__ __forceinline__ float widen(bf16 x) { return __uint_as_float((unsigned)x << 16); }
__device__ __forceinline__ bf16 narrow(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

// y = max(x, 0)²; what is left beyond the last eight is done one by one.
extern "C" __global__ void relu_squared(bf16 *__restrict__ y, const bf16 *__restrict__ x, int n) {
    int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i + 8 <= n) {
        Eight a = *(const Eight *)(x + i), b;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float f = fmaxf(widen(a.x[k]), 0.f);
            b.x[k] = narrow(f * f);
        }
        *(Eight *)(y + i) = b;
    } else {
        for (; i < n; i++) {
            float f = fmaxf(widen(x[i]), 0.f);
            y[i] = narrow(f * f);
        }
    }
}

// One row per block: y = x / sqrt(mean(x²) + eps). Each warp sums its part by shuffles, shared memory joins the warps.
extern "C" __global__ void rms_norm(float *__restrict__ y, const float *__restrict__ x, int columns, float eps) {
    __shared__ float part[32];
    const float *row = x + (long long)blockIdx.x * columns;
    float sum = 0.f;
    for (int c = threadIdx.x; c < columns; c += blockDim.x) sum = __fmaf_rn(row[c], row[c], sum);
    for (int k = 16; k; k /= 2) sum += __shfl_xor_sync(~0u, sum, k);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.f;
    for (int k = 16; k; k /= 2) sum += __shfl_xor_sync(~0u, sum, k);
    float rstd = rsqrtf(sum / columns + eps);
    for (int c = threadIdx.x; c < columns; c += blockDim.x) y[(long long)blockIdx.x * columns + c] = row[c] * rstd;
}
