/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "postctl/match.h"

void id_list_done(IdList *l) {
        free(l->items);
        *l = (IdList) {};
}

int id_list_add(IdList *l, const char *id) {
        QueueId parsed;

        if (queue_id_parse(id, &parsed) < 0)
                return -EINVAL;
        if (l->n == l->allocated) {
                size_t room = MAX(l->allocated * 2, (size_t) 64);
                QueueId *p = reallocarray(l->items, room, sizeof(QueueId));
                if (!p)
                        return -ENOMEM;
                l->items = p;
                l->allocated = room;
        }
        l->items[l->n++] = parsed;
        return 0;
}

static int compare_ids(const void *a, const void *b) {
        return strcmp(((const QueueId *) a)->s, ((const QueueId *) b)->s);
}

void id_list_sort(IdList *l) {
        if (l->n > 1)
                qsort(l->items, l->n, sizeof(QueueId), compare_ids);
}

bool queue_id_part_valid(const char *s) {
        size_t n = strlen(s);

        if (n < ID_PART_MIN || n > QUEUE_ID_LENGTH)
                return false;

        /* The alphabet is known to queue_id_parse() alone: the part is filled up to a whole id with its own first
         * character. */
        char whole[QUEUE_ID_LENGTH + 1];
        QueueId id;
        memset(whole, s[0], QUEUE_ID_LENGTH);
        whole[QUEUE_ID_LENGTH] = 0;
        memcpy(whole, s, n);
        return queue_id_parse(whole, &id) >= 0;
}

bool queue_id_matches(const char *id, const char *part) {
        size_t n = strlen(id), m = strlen(part);

        return m <= n && (memcmp(id, part, m) == 0 || memcmp(id + n - m, part, m) == 0);
}

bool address_matches(const char *address, const char *pattern) {
        const char *domain = address;

        if (pattern[0] == '@' && pattern[1]) {
                domain = strrchr(address, '@');
                if (!domain)
                        return false;
        }
        return ascii_strcaseeq(domain, pattern);
}
