// The choice between two tensors on CUDA: y = cond ≠ 0 ? a : b. A thread per element; bits are moved, not computed with.

template <class T>
__device__ void select(const int* cond, const T* a, const T* b, T* y, Strided cs, Strided as, Strided bs, Strided ys, u32 n) {
    u32 i = thread_index();
    if (i < n) y[ys.position(i)] = cond[cs.position(i)] != 0 ? a[as.position(i)] : b[bs.position(i)];
}

extern "C" __global__ void select_f32(const int* cond, const float* a, const float* b, float* y, Strided cs, Strided as,
                                      Strided bs, Strided ys, u32 n) {
    select(cond, a, b, y, cs, as, bs, ys, n);
}
extern "C" __global__ void select_bf16(const int* cond, const bf16* a, const bf16* b, bf16* y, Strided cs, Strided as,
                                       Strided bs, Strided ys, u32 n) {
    select(cond, a, b, y, cs, as, bs, ys, n);
}
