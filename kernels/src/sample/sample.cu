// Drawing tokens on CUDA: the first token at which the running sum of exp((z − max)/T) exceeds u times the whole sum. A block
// of 256 threads has a row; weights are f64 and never stored.
//
// The row is cut into 64 pieces. Warps sum the weights of a piece each, in turn; one thread finds the piece in which the running sum
// passes u; one warp walks that piece, 32 tokens at a time, with a running sum over its lanes. Temperature 0 is the largest
// logit, lowest index. `map`, where it is not null, names the tokens: a row is then the k largest logits in descending order.

const u32 PIECES = 64;

// A logit and its index, ordered as a whole: larger logits first, then lower indices; NaN before all.
__device__ inline u64 order(float z, u32 index) {
    u32 bits = __float_as_uint(z == 0.0f ? 0.0f : z), key = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (u64)(z != z ? 0xffffffffu : key) << 32 | (0xffffffffu - index);
}

__device__ inline double running(double x) {
#pragma unroll
    for (u32 step = 1; step < 32; step *= 2) {
        double other = __shfl_up_sync(0xffffffff, x, step);
        if (threadIdx.x % 32 >= step) x += other;
    }
    return x;
}

extern "C" __global__ void sample(const float* z, const float* uniforms, const int* map, int* ids, Strided zs, Strided us, u32 v,
                                  double inverse) {
    __shared__ u64 best[8];
    __shared__ double sums[PIECES];
    __shared__ double before, goal;
    __shared__ u32 found;
    u32 row = blockIdx.x, t = threadIdx.x, lane = t % 32, warp = t / 32;
    z += zs.position(row);
    if (map) map += (u64)row * v;

    u64 own = 0;
    for (u32 i = t; i < v; i += 256) own = max(own, order(z[i], i));
#pragma unroll
    for (int step = 16; step > 0; step /= 2) own = max(own, __shfl_xor_sync(0xffffffff, own, step));
    if (lane == 0) best[warp] = own;
    __syncthreads();
    own = best[0];
    for (u32 w = 1; w < 8; w++) own = max(own, best[w]);
    u32 first = 0xffffffffu - (u32)own;
    float largest = z[first], u = uniforms[us.position(row)];
    bool none = largest != largest || (inverse > 0.0 && (isinf(largest) || u != u));
    if (none || inverse == 0.0) {
        if (t == 0) ids[row] = none ? -1 : map ? map[first] : (int)first;
        return;
    }

    u32 length = (v + PIECES - 1) / PIECES;
    auto weight = [&](u32 i) { return exp(((double)z[i] - (double)largest) * inverse); };
    for (u32 piece = warp; piece < PIECES; piece += 8) {
        double sum = 0.0;
        for (u32 i = piece * length + lane; i < min(v, (piece + 1) * length); i += 32) sum += weight(i);
        sum = warp_sum(sum);
        if (lane == 0) sums[piece] = sum;
    }
    __syncthreads();
    if (t == 0) {
        double total = 0.0, sum = 0.0;
        for (u32 piece = 0; piece < PIECES; piece++) total += sums[piece];
        // the piece that passes the goal; should rounding leave the sum just below it, the last that has any weight
        u32 last = 0;
        double sum_before_last = 0.0;
        goal = (double)u * total;
        for (u32 piece = 0; piece < PIECES && sum <= goal; piece++) {
            if (sums[piece] > 0.0) {
                last = piece;
                sum_before_last = sum;
            }
            sum += sums[piece];
        }
        found = last;
        before = sum_before_last;
    }
    __syncthreads();
    if (warp > 0) return;
    u32 end = min(v, (found + 1) * length), token = first;
    double sum = before;
    for (u32 base = found * length; base < end; base += 32) {
        double w = base + lane < end ? weight(base + lane) : 0.0, so_far = sum + running(w);
        u32 some = __ballot_sync(0xffffffff, w > 0.0), over = __ballot_sync(0xffffffff, w > 0.0 && so_far > goal);
        if (some) token = base + (over ? 31 - __clz(over & -over) : 31 - __clz(some));
        if (over) break;
        sum = __shfl_sync(0xffffffff, so_far, 31);
    }
    if (lane == 0) ids[row] = map ? map[token] : (int)token;
}
