/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A binary heap of pointers to objects that hold their own position, for "what is due next".
 * Embedded by value; the object keeps a HeapIndex that starts as HEAP_NONE. */

#include "basic/macro.h"

typedef size_t HeapIndex;
#define HEAP_NONE SIZE_MAX

typedef int (*heap_compare_t)(const void *a, const void *b);

typedef struct Heap {
        void **items;
        size_t size;
        size_t allocated;
        heap_compare_t compare;
        size_t index_offset; /* offsetof(object, its HeapIndex) */
} Heap;

#define HEAP_INIT(type, member, cmp) ((Heap) { .compare = (cmp), .index_offset = offsetof(type, member) })

void heap_done(Heap *h);
int heap_push(Heap *h, void *item);
/* The first item, or NULL. */
void *heap_peek(const Heap *h);
/* Does nothing if the item is not in the heap. */
void heap_remove(Heap *h, void *item);
/* After the item's order has changed. */
void heap_moved(Heap *h, void *item);
