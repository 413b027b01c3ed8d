// Cumulative sums along an axis on CUDA, in f64: each prefix is rounded once. A warp per line, 32 elements at a time: a scan of five
// steps within the warp, on top of what came before. `x_step` and `y_step` are the strides along the axis.

__device__ inline void write(double value, float& out) { out = (float)value; }
// by way of the odd neighbour in f32, so that the second rounding meets no tie that the first one made
__device__ inline void write(double value, bf16& out) {
    float toward = __double2float_rz(value);
    u32 inexact = (double)toward != value;
    narrow(__uint_as_float(__float_as_uint(toward) | inexact), out);
}

template <class T>
__device__ void cumsum(const T* x, T* y, Strided xs, Strided ys, u32 lines, u32 length, u64 x_step, u64 y_step, u32 reverse) {
    u32 line = thread_index() / 32, lane = threadIdx.x % 32;
    if (line >= lines) return;
    x += xs.position(line);
    y += ys.position(line);
    double before = 0.0;
#pragma unroll 1
    for (u32 base = 0; base < length; base += 32) {
        u32 step = base + lane, i = reverse ? length - 1 - step : step;
        double sum = step < length ? (double)widen(x[i * x_step]) : 0.0;
#pragma unroll
        for (u32 far = 1; far < 32; far *= 2) {
            double other = __shfl_up_sync(0xffffffff, sum, far);
            if (lane >= far) sum += other;
        }
        sum += before;
        if (step < length) write(sum, y[i * y_step]);
        before = __shfl_sync(0xffffffff, sum, 31);
    }
}

#define CUMSUM(SUFFIX, T)                                                                                                    \
    extern "C" __global__ void cumsum_##SUFFIX(const T* x, T* y, Strided xs, Strided ys, u32 lines, u32 length, u64 x_step,  \
                                               u64 y_step, u32 reverse) {                                                    \
        cumsum(x, y, xs, ys, lines, length, x_step, y_step, reverse);                                                        \
    }

CUMSUM(f32, float)
CUMSUM(bf16, bf16)
