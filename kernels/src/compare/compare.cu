// Elementwise comparisons on CUDA: 1 where a ∘ b, else 0. A thread per element; which relation is an argument.

__device__ inline bool holds(u32 op, float a, float b) {
    switch (op) {
        case 0: return a < b;
        case 1: return a <= b;
        case 2: return a > b;
        case 3: return a >= b;
        case 4: return a == b;
        default: return a != b;
    }
}

template <class T>
__device__ void compare(const T* a, const T* b, int* y, Strided as, Strided bs, Strided ys, u32 n, u32 op) {
    u32 i = thread_index();
    if (i < n) y[ys.position(i)] = holds(op, widen(a[as.position(i)]), widen(b[bs.position(i)]));
}

extern "C" __global__ void compare_f32(const float* a, const float* b, int* y, Strided as, Strided bs, Strided ys, u32 n, u32 op) {
    compare(a, b, y, as, bs, ys, n, op);
}
extern "C" __global__ void compare_bf16(const bf16* a, const bf16* b, int* y, Strided as, Strided bs, Strided ys, u32 n, u32 op) {
    compare(a, b, y, as, bs, ys, n, op);
}
