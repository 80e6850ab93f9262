/* types/set_random.c: drawing members.
 *
 * Members with repetition are drawn one by one. Different ones come in one of two ways:
 *
 *     few of many    draw, and draw again what was drawn before; a small hash table knows what was
 *     else           go through all members and take each with probability (still wanted / still to come), which makes
 *                    every choice equally likely and needs no memory
 *
 * Popping few of many draws and takes out; otherwise one walk parts the set in two: those that go are visited, those
 * that stay are put into a new set.
 */
#include "types/set_random.h"

#include "base/alloc.h"
#include "types/set_inside.h"

#define FEW_PART 3      /* fewer than a third of the members are few */
#define MOVE_PART 5     /* popping so that less than a fifth of what goes would stay makes a new set */

/* ---- one ---- */

roan_packed roan_set_random(roan_value set, roan_random *random)
{
    size_t count = roan_set_count(set);
    ROAN_ASSERT(count > 0);
    roan_packed item;
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        return roan_packed_from_integer(roan_intset_at(set_ints(set), roan_random_below(random, count)));
    case ROAN_SET_PACK:
        roan_packed_read(roan_pack_at(set_pack(set), roan_random_below(random, count)), &item);
        return item;
    case ROAN_SET_TABLE:
        return roan_packed_from_bytes(roan_element_key(roan_table_random(set_table(set), random)));
    }
    ROAN_UNREACHABLE("no such encoding");
}

/* ---- with repetition ---- */

/* The places of all items of a pack, so that each is found at once. */
static const char **places_of_pack(const roan_pack *pack)
{
    const char **places = roan_alloc(pack->count * sizeof *places), *at = roan_pack_first(pack);
    for (uint32_t i = 0; i < pack->count; i++, at = roan_packed_skip(at))
        places[i] = at;
    return places;
}

static roan_packed draw_one(roan_value set, roan_random *random, const char *const *places)
{
    if (places == NULL)
        return roan_set_random(set, random);
    roan_packed item;
    roan_packed_read(places[roan_random_below(random, set_pack(set)->count)], &item);
    return item;
}

void roan_set_draw(roan_value set, roan_random *random, uint64_t wanted, roan_set_batch_fn visit, void *context)
{
    roan_packed items[ROAN_SET_BATCH];
    bool is_pack = set.encoding == ROAN_SET_PACK && wanted > 1, goes_on = true;
    const char **places = is_pack ? places_of_pack(set_pack(set)) : NULL;
    while (wanted > 0 && goes_on) {
        size_t n = ROAN_MIN(wanted, (size_t)ROAN_SET_BATCH);
        for (size_t i = 0; i < n; i++)
            items[i] = draw_one(set, random, places);
        goes_on = visit(context, items, n);
        wanted -= n;
    }
    if (places != NULL)
        roan_free(places, set_pack(set)->count * sizeof *places);
}

/* ---- without: few of many ---- */

/* What was drawn: an open hash table of places in the set, at most half full. */
typedef struct drawn_set {
    uint64_t *slots; /* place + 1; 0: empty */
    size_t mask;
} drawn_set;

static drawn_set drawn_create(size_t count)
{
    drawn_set drawn = {.mask = 15};
    while (drawn.mask < 2 * count)
        drawn.mask = 2 * drawn.mask + 1;
    drawn.slots = roan_alloc_zero((drawn.mask + 1) * sizeof *drawn.slots);
    return drawn;
}

static void drawn_free(drawn_set *drawn)
{
    roan_free(drawn->slots, (drawn->mask + 1) * sizeof *drawn->slots);
}

/* False when it was there. */
static bool drawn_add(drawn_set *drawn, uint64_t place)
{
    size_t at = (size_t)((place * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & drawn->mask;
    while (drawn->slots[at] != 0) {
        if (drawn->slots[at] == place + 1)
            return false;
        at = (at + 1) & drawn->mask;
    }
    drawn->slots[at] = place + 1;
    return true;
}

/* A random member of ints or a table, and a number that no other member has. */
static roan_packed draw_with_place(roan_value set, roan_random *random, uint64_t *ret_place)
{
    if (set.encoding == ROAN_SET_INTS) {
        *ret_place = roan_random_below(random, roan_set_count(set));
        return roan_packed_from_integer(roan_intset_at(set_ints(set), *ret_place));
    }
    const roan_element *element = roan_table_random(set_table(set), random);
    *ret_place = (uint64_t)(uintptr_t)element;
    return roan_packed_from_bytes(roan_element_key(element));
}

static void sample_few(roan_value set, roan_random *random, size_t wanted, roan_set_batch_fn visit, void *context)
{
    drawn_set drawn = drawn_create(wanted);
    roan_packed items[ROAN_SET_BATCH];
    bool goes_on = true;
    for (size_t n = 0; wanted > 0 && goes_on;) {
        uint64_t place;
        items[n] = draw_with_place(set, random, &place);
        if (!drawn_add(&drawn, place))
            continue;
        wanted--;
        if (++n == ROAN_SET_BATCH || wanted == 0) {
            goes_on = visit(context, items, n);
            n = 0;
        }
    }
    drawn_free(&drawn);
}

/* ---- without: one walk ---- */

/* Parts the members: `wanted` of the `left` that are still to come are chosen. */
typedef struct parting {
    roan_random *random;
    size_t wanted, left;
    roan_set_batch_fn on_chosen, on_other; /* on_other may be NULL */
    void *context, *other_context;
} parting;

static bool part_batch(void *context, const roan_packed *items, size_t count)
{
    parting *p = context;
    roan_packed chosen[ROAN_SET_BATCH], others[ROAN_SET_BATCH];
    size_t chosen_count = 0, other_count = 0;
    for (size_t i = 0; i < count; i++, p->left--) {
        if (p->wanted > 0 && roan_random_below(p->random, p->left) < p->wanted) {
            chosen[chosen_count++] = items[i];
            p->wanted--;
        } else {
            others[other_count++] = items[i];
        }
    }
    if (other_count > 0 && p->on_other != NULL)
        p->on_other(p->other_context, others, other_count);
    bool goes_on = chosen_count == 0 || p->on_chosen(p->context, chosen, chosen_count);
    return goes_on && (p->wanted > 0 || p->on_other != NULL);
}

void roan_set_sample(roan_value set, roan_random *random, size_t wanted, roan_set_batch_fn visit, void *context)
{
    size_t count = roan_set_count(set);
    ROAN_ASSERT(wanted <= count);
    if (set.encoding != ROAN_SET_PACK && wanted < count / FEW_PART) {
        sample_few(set, random, wanted, visit, context);
        return;
    }
    parting p = {.random = random, .wanted = wanted, .left = count, .on_chosen = visit, .context = context};
    roan_set_each_batch(set, part_batch, &p);
}

/* ---- popping ---- */

static void pop_one_by_one(roan_value *set, roan_random *random, size_t wanted, roan_set_batch_fn visit, void *context)
{
    while (wanted-- > 0) {
        char scratch[ROAN_I64_TEXT_MAX];
        roan_packed item = roan_set_random(*set, random);
        visit(context, &item, 1);
        roan_set_remove(set, roan_packed_text(&item, scratch));
    }
}

/* Those that stay: in a pack whatever the limits say, or added to a set. */
typedef struct staying {
    roan_value set;
    const roan_type_context *types;
    bool is_limited;
} staying;

static bool keep_batch(void *context, const roan_packed *items, size_t count)
{
    staying *kept = context;
    if (kept->is_limited)
        roan_set_add_items(&kept->set, kept->types, items, count);
    else
        kept->set.data = roan_pack_append(set_pack(kept->set), items, count);
    return true;
}

void roan_set_pop(roan_value *set, const roan_type_context *types, roan_random *random, size_t wanted,
                  roan_set_batch_fn visit, void *context)
{
    size_t count = roan_set_count(*set), remaining = count - wanted;
    ROAN_ASSERT(wanted < count);
    bool is_pack = set->encoding == ROAN_SET_PACK, is_moving = remaining <= wanted / MOVE_PART;
    if (!is_moving && (!is_pack || wanted == 1)) {
        pop_one_by_one(set, random, wanted, visit, context);
        return;
    }
    staying kept = {.types = types, .is_limited = is_moving};
    kept.set = roan_set_create_as(types, set->encoding == ROAN_SET_INTS ? ROAN_SET_INTS : ROAN_SET_PACK);
    parting p = {.random = random, .wanted = wanted, .left = count, .on_chosen = visit, .context = context,
                 .on_other = keep_batch, .other_context = &kept};
    roan_set_each_batch(*set, part_batch, &p);
    roan_set_free(*set);
    *set = kept.set;
}
