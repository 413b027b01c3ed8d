// The k largest of each row on CUDA, exact, in descending order, ties by index. A block of 256 threads has a row.
//
// 1. Numbers become keys: unsigned integers in the same order, NaN above everything, −0 like 0.
// 2. Radix select: the k-th largest key, eight bits at a time, from the counts of 256 bins in shared memory.
// 3. What is larger than that key, and of what equals it the first few by index, goes into a list, in index order: each warp
//    counts its own by a vote, and the warps' counts are added up.
// 4. A candidate's place is the number of candidates before it. k² comparisons, but k is small and nothing is moved twice.

// Candidate: key above, and below it what makes the lower index the larger.
__device__ inline u64 candidate(u32 key, u32 index) { return (u64)key << 32 | (0xffffffffu - index); }

template <class T>
__device__ void top_k(const T* x, T* values, int* indices, u64* list, Strided xs, Strided vs, Strided is, u32 v, u32 k) {
    __shared__ u32 bins[256], counts[8];
    __shared__ u32 chosen, missing;
    u32 row = blockIdx.x, t = threadIdx.x, lane = t % 32;
    x += xs.position(row);
    list += (u64)row * k;

    u32 prefix = 0, rest = k; // the upper bits of the key, and how many of the keys with them are wanted
    for (int shift = 24; shift >= 0; shift -= 8) {
        bins[t] = 0;
        __syncthreads();
        for (u32 i = t; i < v; i += 256) {
            u32 key = key_of(widen(x[i]));
            if (shift == 24 || key >> (shift + 8) == prefix) atomicAdd(&bins[key >> shift & 255], 1u);
        }
        __syncthreads();
        if (t == 0) {
            u32 bin = 255, left = rest;
            while (bins[bin] < left) left -= bins[bin--];
            chosen = bin;
            missing = left;
        }
        __syncthreads();
        prefix = prefix << 8 | chosen;
        rest = missing;
        __syncthreads();
    }

    u32 larger_so_far = 0, equal_so_far = 0; // both kinds have places of their own in the list
    for (u32 base = 0; base < v; base += 256) {
        u32 i = base + t, key = i < v ? key_of(widen(x[i])) : 0;
        u32 larger = __ballot_sync(0xffffffff, i < v && key > prefix), equal = __ballot_sync(0xffffffff, i < v && key == prefix);
        __syncthreads(); // the counts of the last time have been read
        if (lane == 0) counts[t / 32] = __popc(larger) << 16 | __popc(equal);
        __syncthreads();
        u32 before = 0, all = 0;
        for (u32 w = 0; w < 8; w++) {
            if (w < t / 32) before += counts[w];
            all += counts[w];
        }
        u32 lower = (1u << lane) - 1;
        if (i < v && key > prefix) list[larger_so_far + (before >> 16) + __popc(larger & lower)] = candidate(key, i);
        u32 place = equal_so_far + (before & 0xffff) + __popc(equal & lower);
        if (i < v && key == prefix && place < rest) list[k - rest + place] = candidate(key, i);
        larger_so_far += all >> 16;
        equal_so_far += all & 0xffff;
    }
    __syncthreads();
    values += vs.position(row);
    indices += is.position(row);
    for (u32 i = t; i < k; i += 256) {
        u64 own = list[i];
        u32 place = 0;
        for (u32 j = 0; j < k; j++) place += list[j] > own;
        u32 index = 0xffffffffu - (u32)own;
        values[place] = x[index];
        indices[place] = (int)index;
    }
}

#define TOP_K(NAME, T)                                                                                              \
    extern "C" __global__ void top_k_##NAME(const T* x, T* values, int* indices, u64* list, Strided xs, Strided vs, \
                                            Strided is, u32 v, u32 k) {                                             \
        top_k(x, values, indices, list, xs, vs, is, v, k);                                                          \
    }

TOP_K(f32, float)
TOP_K(bf16, bf16)
