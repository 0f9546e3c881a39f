/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/heap.h"

static HeapIndex *index_of(const Heap *h, void *item) {
        return (HeapIndex *) ((char *) item + h->index_offset);
}

static void place(Heap *h, size_t i, void *item) {
        h->items[i] = item;
        *index_of(h, item) = i;
}

static void sift_up(Heap *h, size_t i) {
        void *item = h->items[i];

        while (i > 0 && h->compare(item, h->items[(i - 1) / 2]) < 0) {
                place(h, i, h->items[(i - 1) / 2]);
                i = (i - 1) / 2;
        }
        place(h, i, item);
}

static void sift_down(Heap *h, size_t i) {
        void *item = h->items[i];

        for (;;) {
                size_t child = 2 * i + 1;
                if (child >= h->size)
                        break;
                if (child + 1 < h->size && h->compare(h->items[child + 1], h->items[child]) < 0)
                        child++;
                if (h->compare(h->items[child], item) >= 0)
                        break;
                place(h, i, h->items[child]);
                i = child;
        }
        place(h, i, item);
}

void heap_done(Heap *h) {
        free(h->items);
        h->items = NULL;
        h->size = h->allocated = 0;
}

int heap_push(Heap *h, void *item) {
        assert(*index_of(h, item) == HEAP_NONE);

        if (h->size == h->allocated) {
                size_t n = MAX(h->allocated * 2, (size_t) 4);
                void **p = reallocarray(h->items, n, sizeof(void *));
                if (!p)
                        return -ENOMEM;
                h->items = p;
                h->allocated = n;
        }
        place(h, h->size++, item);
        sift_up(h, h->size - 1);
        return 0;
}

void *heap_peek(const Heap *h) {
        return h->size > 0 ? h->items[0] : NULL;
}

void heap_moved(Heap *h, void *item) {
        size_t i = *index_of(h, item);
        if (i == HEAP_NONE)
                return;
        sift_up(h, i);
        sift_down(h, *index_of(h, item));
}

void heap_remove(Heap *h, void *item) {
        size_t i = *index_of(h, item);
        if (i == HEAP_NONE)
                return;

        *index_of(h, item) = HEAP_NONE;
        void *last = h->items[--h->size];
        if (last == item)
                return;
        place(h, i, last);
        heap_moved(h, last);
}
