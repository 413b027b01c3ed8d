// Soft-capped cross entropy on CUDA, in place, a block of 256 threads per row: z = c·tanh(raw/c), lse = ln Σ exp z,
// loss = lse − z_target; then d raw = weight·(exp(z − lse) − onehot)·(1 − (z/c)²).
//
// Forward reads and writes each logit once: a thread keeps the maximum m of its logits and s = Σ exp(z − m), scaled anew when
// the maximum grows (Milakov & Gimelshein 2018); the 256 pairs meet in shared memory as a tree, whose order is fixed.
// Backward is elementwise, one read and one write. The loads of a warp are 128 bytes in a row.

// Σ exp(z) of some logits: e^max · sum. Begins at a finite maximum, so that −∞ adds exp(−∞) = 0.
struct Total {
    float max, sum;

    __device__ void add(float z) {
        if (z > max) {
            sum = sum * expf(max - z) + 1.0f;
            max = z;
        } else {
            sum += z == max ? 1.0f : expf(z - max); // NaN comes here and stays
        }
    }
    __device__ void join(Total other) {
        if (other.max > max) {
            sum = sum * expf(max - other.max) + other.sum;
            max = other.max;
        } else if (other.max == max) {
            sum += other.sum; // not by e^0, which approximations may miss
        } else {
            sum += other.sum * expf(other.max - max);
        }
    }
};

extern "C" __global__ void softcap_cross_entropy_fwd(float* z, const int* targets, float* loss, float* lse, Strided zs,
                                                     Strided ts, u32 vocab, float cap) {
    __shared__ float maxima[256], sums[256];
    u32 row = blockIdx.x, t = threadIdx.x;
    z += zs.position(row);
    Total total = {-3.402823466e38f, 0.0f};
    for (u32 i = t; i < vocab; i += 256) {
        float raw = z[i], capped = raw;
        if (cap > 0.0f) z[i] = capped = cap * tanhf(raw / cap);
        total.add(capped);
    }
    for (u32 half = 128; half > 0; half /= 2) {
        maxima[t] = total.max;
        sums[t] = total.sum;
        __syncthreads();
        if (t < half) total.join({maxima[t + half], sums[t + half]});
        __syncthreads();
    }
    if (t == 0) {
        int target = targets[ts.position(row)];
        float whole = total.max + logf(total.sum);
        // logits that are all −∞ have no distribution; a vocabulary of none sums to 0
        if (total.sum == 0.0f) whole = vocab > 0 ? __int_as_float(0x7fc00000) : -1.0f / 0.0f;
        lse[row] = whole;
        loss[row] = target < 0 ? 0.0f : whole - z[target];
    }
}

extern "C" __global__ void softcap_cross_entropy_bwd(float* z, const int* targets, const float* lse, const float* weight,
                                                     Strided zs, Strided ts, Strided ws, u32 vocab, float cap) {
    u32 row = blockIdx.x;
    z += zs.position(row);
    int target = targets[ts.position(row)];
    float total = lse[row], scale = weight[ws.position(row)];
    for (u32 i = threadIdx.x; i < vocab; i += 256) {
        float v = z[i], part = v / cap;
        float slope = cap > 0.0f ? 1.0f - part * part : 1.0f;
        float hit = (int)i == target ? 1.0f : 0.0f;
        z[i] = target < 0 ? 0.0f : scale * (expf(v - total) - hit) * slope;
    }
}
