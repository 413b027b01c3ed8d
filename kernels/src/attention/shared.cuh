// What attention's kernels share: how their arguments lie, and who sees whom. Put between the prelude and each `.cu` file.

// Distances between neighbours along batch, position and head, in elements.
struct Heads {
    u64 b, t, h;
};
// T, query heads, how many of them share a key's, D; window (T where there is none); can rows be moved 16 bytes at a time?
struct Shape {
    u32 t, h, group, d, window, packs;

    __device__ bool sees(u32 query, u32 key) const { return query < t && key <= query && query - key <= window; }
};
