/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <unistd.h>

#include "basic/pool.h"
#include "basic/test.h"

typedef struct Item {
        Work work;
        Pool *pool;
        int generation;
        bool ran;
} Item;

static size_t n_done;

static void run(Work *w) {
        Item *i = container_of(w, Item, work);
        usleep(100);
        i->ran = true;
}

static void done(Work *w);

static void submit(Pool *p, int generation) {
        Item *i = new0(Item, 1);
        ASSERT_TRUE(i);
        *i = (Item) { .work = { .run = run, .done = done }, .pool = p, .generation = generation };
        pool_submit(p, &i->work);
}

/* Each item is followed by another, twice. */
static void done(Work *w) {
        Item *i = container_of(w, Item, work);

        ASSERT_TRUE(i->ran);
        n_done++;
        if (i->generation < 2)
                submit(i->pool, i->generation + 1);
        free(i);
}

int main(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        Pool *p;

        ASSERT_OK(sd_event_default(&event));
        ASSERT_OK(pool_new(event, 4, &p));
        for (int i = 0; i < 100; i++)
                submit(p, 0);
        ASSERT_EQ(pool_pending(p), 100U);
        while (n_done < 150)
                ASSERT_OK(sd_event_run(event, UINT64_MAX));

        /* Freeing it finishes the rest, also what is submitted meanwhile. */
        pool_free(p);
        ASSERT_EQ(n_done, 300U);
        return 0;
}
