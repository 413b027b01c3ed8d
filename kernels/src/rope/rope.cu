// Rotary position embedding on CUDA: elements j and D/2 + j of a head vector are turned by the angle of the token's position,
// y1 = x1·cos + x2·sin, y2 = x2·cos − x1·sin; backwards with `inverse`. Thread i has one pack of pairs: neighbouring lanes
// have neighbouring j, so both halves of a vector and its row of the tables are read in whole sectors, once.

template <class T, u32 N>
__device__ void turn(const T* x, const int* positions, const float* cos, const float* sin, T* y, Strided xs, Strided ps,
                     Strided cs, Strided ss, Strided ys, u32 vectors, u32 heads, u32 half, u32 inverse, u32 accumulate) {
    u32 packs = half / N, i = thread_index(), vector = i / packs, pack = i % packs;
    if (vector >= vectors) return;
    u32 position = positions[ps.position(vector / heads)];
    x += xs.position(vector);
    y += ys.position(vector);
    float x1[N], x2[N], c[N], s[N], old1[N] = {}, old2[N] = {};
    load<T, N>(x, pack, x1);
    load<T, N>(x + half, pack, x2);
    load<float, N>(cos + cs.position(position), pack, c);
    load<float, N>(sin + ss.position(position), pack, s);
    if (accumulate) {
        load<T, N>(y, pack, old1);
        load<T, N>(y + half, pack, old2);
    }
#pragma unroll
    for (u32 j = 0; j < N; j++) {
        float turn = inverse ? -s[j] : s[j];
        float y1 = x1[j] * c[j] + x2[j] * turn, y2 = x2[j] * c[j] - x1[j] * turn;
        x1[j] = accumulate ? old1[j] + y1 : y1;
        x2[j] = accumulate ? old2[j] + y2 : y2;
    }
    store<T, N>(y, pack, x1);
    store<T, N>(y + half, pack, x2);
}

#define ROPE(SUFFIX, T, N)                                                                                           \
    extern "C" __global__ void rope_##SUFFIX(const T* x, const int* positions, const float* cos, const float* sin,   \
                                             T* y, Strided xs, Strided ps, Strided cs, Strided ss, Strided ys,       \
                                             u32 vectors, u32 heads, u32 half, u32 inverse, u32 accumulate) {        \
        turn<T, N>(x, positions, cos, sin, y, xs, ps, cs, ss, ys, vectors, heads, half, inverse, accumulate);        \
    }

ROPE(f32_packs, float, 4)
ROPE(f32_single, float, 1)
ROPE(bf16_packs, bf16, 4)
ROPE(bf16_single, bf16, 1)
