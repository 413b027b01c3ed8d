// Picking along one axis on CUDA: y[…, j, …] = x[…, index[…, j, …], …]. A thread per element of y; `xs` has y's lengths and no
// stride along the axis, `step` is that stride.
//
// The gradient is a sum over the j that picked an element: a thread per element of dx looks through the line of indices and adds what
// it finds, in the order of j, to what it holds in f32. No atomics, so every bit is fixed; each element of dx is written once.

template <class T>
__device__ void pick(const T* x, const int* index, T* y, Strided xs, Strided is, Strided ys, u32 n, u64 step) {
    u32 i = thread_index();
    if (i < n) y[ys.position(i)] = x[xs.position(i) + index[is.position(i)] * step];
}

// `dys` and `is` have dx's lengths and no stride along the axis; element i lies at i / inner % length of it.
template <class T, class X>
__device__ void scatter(const T* dy, const int* index, X* dx, Strided dys, Strided is, Strided dxs, u32 n, u32 inner, u32 length,
                        u32 picks, u64 dy_step, u64 index_step) {
    u32 i = thread_index();
    if (i >= n) return;
    int own = (int)(i / inner % length);
    dy += dys.position(i);
    index += is.position(i);
    X* out = dx + dxs.position(i);
    float sum = widen(*out);
    bool any = false;
#pragma unroll 1
    for (u32 j = 0; j < picks; j++) {
        if (index[j * index_step] != own) continue;
        sum += widen(dy[j * dy_step]);
        any = true;
    }
    if (any) narrow(sum, *out);
}

#define PICK(SUFFIX, T)                                                                                                      \
    extern "C" __global__ void gather_fwd_##SUFFIX(const T* x, const int* index, T* y, Strided xs, Strided is, Strided ys,   \
                                                   u32 n, u64 step) {                                                        \
        pick(x, index, y, xs, is, ys, n, step);                                                                              \
    }
#define SCATTER(SUFFIX, T, X)                                                                                                \
    extern "C" __global__ void gather_bwd_##SUFFIX(const T* dy, const int* index, X* dx, Strided dys, Strided is,            \
                                                   Strided dxs, u32 n, u32 inner, u32 length, u32 picks, u64 dy_step,        \
                                                   u64 index_step) {                                                         \
        scatter(dy, index, dx, dys, is, dxs, n, inner, length, picks, dy_step, index_step);                                  \
    }

PICK(f32, float)
PICK(bf16, bf16)
SCATTER(f32_f32, float, float)
SCATTER(bf16_f32, bf16, float)
SCATTER(bf16_bf16, bf16, bf16)
