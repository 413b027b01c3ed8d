// Floats as unsigned integers in the same order: −0 like 0, NaN above everything. Put between the prelude and the `.cu` files that
// compare numbers with their places.

__device__ inline u32 key_of(float x) {
    if (x != x) return 0xffffffffu;
    u32 bits = __float_as_uint(x == 0.0f ? 0.0f : x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// The other way round, NaN again above everything.
__device__ inline u32 falling_key_of(float x) { return x != x ? 0xffffffffu : ~key_of(x); }
