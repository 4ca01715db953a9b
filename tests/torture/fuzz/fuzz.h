/* Bodies without end for one decoder: seeds changed at random, kept where they reach code that none reached before.

       corpus ──► a body, changed 1 to 5 times ──► its last byte before memory that may not be read ──► the decoder
         ▲                                                                                                 │
         └──────────────── kept, where a new pair of basic blocks was run one behind the other ◄───────────┘

   Compiled into the module of the decoder, with -fsanitize-coverage=trace-pc: the compiler calls
   __sanitizer_cov_trace_pc in each basic block. The same seed gives the same bodies. */
#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 1024
#define KEPT_MAX 20000
#define PAIRS (1 << 16)

#define UNWATCHED __attribute__((no_sanitize_coverage, no_sanitize("address", "undefined"), visibility("hidden")))

static uint8_t *kept[KEPT_MAX];
static uint32_t kept_size[KEPT_MAX];
static size_t kept_count, kept_first; /* the first kept_first are the seeds given */
static uint64_t drawn = 1;
static uint8_t met[PAIRS];
static size_t met_count, met_before;
static uint32_t block_before;
static uint8_t made[BODY_MAX];
static uint8_t *guarded; /* BODY_MAX bytes, behind which ASan lets nobody read */
static uint8_t *body_at;
static size_t body_size;

UNWATCHED void __sanitizer_cov_trace_pc(void)
{
    /* By distance: where the module lies differs from run to run. */
    uint32_t block = (uint32_t)((uintptr_t)__builtin_return_address(0) - (uintptr_t)&__sanitizer_cov_trace_pc);
    uint32_t pair = (block * 2654435761u ^ block_before) >> 8 & (PAIRS - 1);
    block_before = (block * 2246822519u) >> 1;
    met_count += !met[pair];
    met[pair] = 1;
}

UNWATCHED static uint64_t draw(void) /* xorshift64* */
{
    drawn ^= drawn >> 12, drawn ^= drawn << 25, drawn ^= drawn >> 27;
    return drawn * 2685821657736338717u >> 11;
}

UNWATCHED static size_t below(size_t limit) { return limit ? (size_t)(draw() % limit) : 0; }

UNWATCHED static void fuzz_keep(const uint8_t *data, size_t size)
{
    if (kept_count == KEPT_MAX || size > BODY_MAX)
        return;
    kept[kept_count] = malloc(size ? size : 1);
    memcpy(kept[kept_count], data, size);
    kept_size[kept_count++] = (uint32_t)size;
}

UNWATCHED static void fuzz_begin(uint64_t seed)
{
    drawn = seed | 1;
    kept_first = kept_count;
    guarded = malloc(BODY_MAX);
}

UNWATCHED static size_t change(size_t size)
{
    static const uint8_t telling[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x08, 0x09, 0x10, 0x1a, 0x22, 0x2a};
    size_t at = below(size), more, from;
    const uint8_t *other;
    switch (below(9)) {
    case 0: /* a bit */
        if (size)
            made[at] ^= (uint8_t)(1 << below(8));
        return size;
    case 1: /* a byte that often means something */
        if (size)
            made[at] = telling[below(sizeof telling)];
        return size;
    case 2: /* a byte by a little: lengths and tags */
        if (size)
            made[at] = (uint8_t)(made[at] + below(9) - 4);
        return size;
    case 3: /* cut */
        return at;
    case 4: /* take something out */
        more = below(size - at < 32 ? size - at : 32);
        memmove(made + at, made + at + more, size - at - more);
        return size - more;
    case 5: /* twice the same */
    case 6: /* a part of another body */
        other = kept[below(kept_count)], from = 0;
        more = 1 + below(48);
        if (size + more > BODY_MAX)
            return size;
        memmove(made + at + more, made + at, size - at);
        for (size_t place = 0; place < more; place++)
            made[at + place] = at + more + place < size + more ? made[at + more + place] : 0;
        from = below(kept_count);
        if (more & 1 && kept_size[from] >= more) {
            other = kept[from];
            memcpy(made + at, other + below(kept_size[from] - more + 1), more);
        }
        return size + more;
    case 7: /* a long varint */
        if (size + 10 > BODY_MAX)
            return size;
        memmove(made + at + 10, made + at, size - at);
        for (size_t place = 0; place < 9; place++)
            made[at + place] = (uint8_t)(draw() | 0x80);
        made[at + 9] = (uint8_t)below(3);
        return size + 10;
    default: /* eight bytes: a number */
        for (size_t place = at; place < size && place < at + 8; place++)
            made[place] = (uint8_t)draw();
        return size;
    }
}

/* The next body; what it is made of are the seeds as often as what was found. */
UNWATCHED static const uint8_t *fuzz_next(size_t *size)
{
    size_t one = draw() & 1 ? below(kept_first) : below(kept_count);
    size_t bytes = kept_size[one], times = below(6);
    memcpy(made, kept[one], bytes);
    while (times--)
        bytes = change(bytes);
    ASAN_UNPOISON_MEMORY_REGION(guarded, BODY_MAX);
    body_at = guarded + BODY_MAX - bytes;
    memcpy(body_at, made, bytes);
    ASAN_POISON_MEMORY_REGION(guarded, BODY_MAX - bytes);
    *size = body_size = bytes;
    met_before = met_count;
    block_before = 0;
    return body_at;
}

/* The decoder has come back: keep a body that showed something new. Returns whether it did. */
UNWATCHED static int fuzz_done(void)
{
    if (met_count == met_before)
        return 0;
    fuzz_keep(made, body_size);
    return 1;
}

UNWATCHED static size_t fuzz_below(size_t limit) { return below(limit); }
UNWATCHED static size_t fuzz_met(void) { return met_count; }
UNWATCHED static size_t fuzz_kept(void) { return kept_count - kept_first; }
