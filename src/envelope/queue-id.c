/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/random.h>

#include "envelope/queue-id.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

int queue_id_new(usec_t realtime, QueueId *ret) {
        uint64_t random;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                return negative_errno();

        __uint128_t bits = (__uint128_t) (realtime / USEC_PER_MSEC & ((UINT64_C(1) << 44) - 1)) << 36 |
                (random & ((UINT64_C(1) << 36) - 1));
        for (size_t i = QUEUE_ID_LENGTH; i-- > 0; bits >>= 5)
                ret->s[i] = alphabet[(size_t) (bits & 31)];
        ret->s[QUEUE_ID_LENGTH] = 0;
        return 0;
}

int queue_id_parse(const char *s, QueueId *ret) {
        if (strlen(s) != QUEUE_ID_LENGTH || strspn(s, alphabet) != QUEUE_ID_LENGTH)
                return -EINVAL;
        memcpy(ret->s, s, QUEUE_ID_LENGTH + 1);
        return 0;
}

usec_t queue_id_time(const QueueId *id) {
        __uint128_t bits = 0;

        for (size_t i = 0; i < QUEUE_ID_LENGTH; i++)
                bits = bits << 5 | (size_t) (strchr(alphabet, id->s[i]) - alphabet);
        return (usec_t) (bits >> 36) * USEC_PER_MSEC;
}
