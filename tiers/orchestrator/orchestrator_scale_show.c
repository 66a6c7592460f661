/* What consoles hear of newcomers: where the latest batch stands, and which places are open. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define SAY_US       (5ll * US_PER_S) /* consoles give up on silence */
#define WATCH_US     US_PER_S
#define PLACES_LINES CLUSTERS_PER_SECTOR_MAX /* of one reply: all of a sector */

static void remove_line(const struct orchestrator *o, struct text *t)
{
    const struct scale_book *b = &o->scale;
    const struct scale_batch *batch = &b->batch;
    text_u64(t, batch->wanted);
    text_add(t, " agents to be removed, ordered ");
    text_time(t, (int64_t)batch->id);
    if (batch->state != SCALE_RUNNING) {
        text_add(t, batch->state == SCALE_DONE ? ": retired at " : ": they stay, given up at ");
        text_time(t, batch->ended_mesh_us);
        return;
    }
    text_add(t, ": no new work; ");
    text_u64(t, b->leaving);
    text_add(t, " finish theirs, until ");
    text_time(t, batch->until_mesh_us);
    text_add(t, b->deaf ? "; a sector that has some of them is silent" : "");
}

void scale_status_line(const struct orchestrator *o, struct text *t)
{
    const struct scale_book *b = &o->scale;
    const struct scale_batch *batch = &b->batch;
    if (batch->state == SCALE_NONE) {
        text_add(t, "nobody was added to this mesh: scale add N");
        return;
    }
    if (batch->remove) {
        remove_line(o, t);
        return;
    }
    text_u64(t, batch->wanted);
    text_add(t, " newcomers of ");
    text_time(t, (int64_t)batch->id);
    if (batch->state != SCALE_RUNNING) {
        text_add(t, batch->state == SCALE_DONE ? ": done at " : ": given up at ");
        text_time(t, batch->ended_mesh_us);
        return;
    }
    uint32_t opened = scale_opened(b);
    text_add(t, ": ");
    text_u64(t, opened);
    text_add(t, " places open, ");
    text_u64(t, b->joined);
    text_add(t, " here, of these ");
    text_u64(t, b->entering);
    text_add(t, " entering and ");
    text_u64(t, b->joined > b->entering ? b->joined - b->entering : 0);
    text_add(t, " in full service, ");
    text_u64(t, b->conflicts);
    text_add(t, " conflicts");
    if (b->paused && opened < batch->wanted) {
        text_add(t, "; no place opens while the mesh is not in full service (");
        text_add(t, mode_name(o->hub.mode));
        text_char(t, ')');
    }
}

void scale_show(struct orchestrator *o, const struct msg *msg)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    if (o->scale.batch.state == SCALE_RUNNING) {
        scale_look(o);
    }
    scale_status_line(o, &t);
    hub_reply_line(&o->hub, msg, memory);
    bool comes = o->scale.batch.state == SCALE_RUNNING && !o->scale.batch.remove;
    if (comes && o->scale.joined < scale_opened(&o->scale)) {
        text_reset(&t);
        text_u64(&t, scale_opened(&o->scale) - o->scale.joined);
        text_add(&t, " places wait for their hosts: 'scale places' names them, deploy/scale "
                     "starts such hosts");
        hub_reply_line(&o->hub, msg, memory);
    }
    hub_reply_ok(&o->hub, msg);
}

void scale_places(struct orchestrator *o, const struct msg *msg)
{
    const struct scale_book *b = &o->scale;
    const struct place_set *where = &msg->u.command->query.selector.places;
    uint32_t said = 0, left = 0;
    for (uint32_t i = 0; i < b->row_count; i++) {
        const struct scale_row *row = &b->rows[i];
        uint64_t open = scale_open(b, row);
        char memory[TEXT_BYTES_MAX];
        struct text t;
        text_init(&t, memory, sizeof(memory));
        if (open == 0 || (where->count > 0 && !place_touches(where, row->cluster))) {
            continue;
        }
        if (said == PLACES_LINES || !outbox_room(o->hub.out, 4, 2048)) {
            left++;
            continue;
        }
        text_places(&t, row->cluster, open);
        hub_reply_line(&o->hub, msg, memory);
        said++;
    }
    if (left > 0) {
        char memory[TEXT_BYTES_MAX];
        struct text t;
        text_init(&t, memory, sizeof(memory));
        text_u64(&t, left);
        text_add(&t, " clusters more: name sectors, as scale places --sector s07");
        hub_reply_line(&o->hub, msg, memory);
    } else if (said == 0) {
        hub_reply_line(&o->hub, msg, "no place is open to newcomers");
    }
    hub_reply_ok(&o->hub, msg);
}

void scale_watch_tick(struct orchestrator *o, struct watch *w)
{
    struct hub *h = &o->hub;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    if (h->now_us < w->due_us) {
        return;
    }
    if (!outbox_room(h->out, 4, 2048)) {
        h->short_of_room = true;
        return;
    }
    scale_status_line(o, &t);
    uint64_t hash = num_hash64(memory, t.used, 7);
    if (hash != w->ask_ref || h->now_us >= w->ask_us) {
        watch_line(o, w, memory);
        w->ask_ref = hash;
        w->ask_us = h->now_us + SAY_US;
    }
    w->due_us = h->now_us + WATCH_US;
    if (o->scale.batch.state != SCALE_RUNNING) {
        watch_end(o, w);
    }
}
