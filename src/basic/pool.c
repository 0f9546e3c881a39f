/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/pool.h"
#include "basic/usec.h"

#define IDLE_SEC 5
#define STACK_SIZE (256 * 1024)

typedef struct Queue {
        Work *first, **last;
} Queue;

struct Pool {
        sd_event_source *source;
        int event_fd;
        size_t threads_max;
        size_t pending; /* main thread only */

        pthread_mutex_t mutex;
        pthread_cond_t changed;
        Queue todo, finished;
        size_t n_todo, n_threads, n_idle;
        bool draining, stop;
};

static void queue_put(Queue *q, Work *w) {
        w->next = NULL;
        *q->last = w;
        q->last = &w->next;
}

static Work *queue_take(Queue *q) {
        Work *w = q->first;
        if (!w)
                return NULL;
        q->first = w->next;
        if (!q->first)
                q->last = &q->first;
        w->next = NULL;
        return w;
}

static void finish(Pool *p, Work *w) {
        bool first = !p->finished.first;

        queue_put(&p->finished, w);
        if (first)
                (void) eventfd_write(p->event_fd, 1);
        if (p->draining)
                pthread_cond_broadcast(&p->changed);
}

static void *thread_run(void *userdata) {
        Pool *p = userdata;

        pthread_mutex_lock(&p->mutex);
        for (;;) {
                Work *w = queue_take(&p->todo);
                if (w) {
                        p->n_todo--;
                        pthread_mutex_unlock(&p->mutex);
                        w->run(w);
                        pthread_mutex_lock(&p->mutex);
                        finish(p, w);
                        continue;
                }
                if (p->stop)
                        break;

                struct timespec deadline;
                clock_gettime(CLOCK_MONOTONIC, &deadline);
                deadline.tv_sec += IDLE_SEC;
                p->n_idle++;
                int r = pthread_cond_clockwait(&p->changed, &p->mutex, CLOCK_MONOTONIC, &deadline);
                p->n_idle--;
                if (r == ETIMEDOUT && !p->todo.first)
                        break;
        }
        p->n_threads--;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
        return NULL;
}

static int start_thread(Pool *p) {
        pthread_attr_t attr;
        sigset_t all, old;
        pthread_t t;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_SIZE);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        int r = pthread_create(&t, &attr, thread_run, p);
        pthread_attr_destroy(&attr);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return -r;
}

static void call_done(Pool *p) {
        pthread_mutex_lock(&p->mutex);
        Work *w = p->finished.first;
        p->finished.first = NULL;
        p->finished.last = &p->finished.first;
        pthread_mutex_unlock(&p->mutex);

        while (w) {
                Work *next = w->next;
                w->next = NULL;
                p->pending--;
                w->done(w);
                w = next;
        }
}

static int on_event(sd_event_source *s _unused_, int fd, uint32_t revents _unused_, void *userdata) {
        eventfd_t value;

        (void) eventfd_read(fd, &value);
        call_done(userdata);
        return 0;
}

int pool_new(sd_event *event, size_t threads_max, Pool **ret) {
        _cleanup_(pool_freep) Pool *p = new0(Pool, 1);
        int r;

        if (!p)
                return -ENOMEM;
        p->threads_max = threads_max;
        p->todo.last = &p->todo.first;
        p->finished.last = &p->finished.first;
        pthread_mutex_init(&p->mutex, NULL);
        pthread_cond_init(&p->changed, NULL);

        p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (p->event_fd < 0)
                return negative_errno();
        r = sd_event_add_io(event, &p->source, p->event_fd, EPOLLIN, on_event, p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

Pool *pool_free(Pool *p) {
        if (!p)
                return NULL;

        /* A done() may submit more. */
        pthread_mutex_lock(&p->mutex);
        p->draining = true;
        while (p->pending > 0) {
                while (!p->finished.first)
                        pthread_cond_wait(&p->changed, &p->mutex);
                pthread_mutex_unlock(&p->mutex);
                call_done(p);
                pthread_mutex_lock(&p->mutex);
        }
        p->stop = true;
        pthread_cond_broadcast(&p->changed);
        while (p->n_threads > 0)
                pthread_cond_wait(&p->changed, &p->mutex);
        pthread_mutex_unlock(&p->mutex);

        sd_event_source_disable_unref(p->source);
        safe_close(p->event_fd);
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->mutex);
        return mfree(p);
}

void pool_submit(Pool *p, Work *w) {
        p->pending++;

        pthread_mutex_lock(&p->mutex);
        if (p->n_todo >= p->n_idle && p->n_threads < p->threads_max && start_thread(p) >= 0)
                p->n_threads++;
        if (p->n_threads > 0) {
                queue_put(&p->todo, w);
                p->n_todo++;
                bool wake = p->n_idle > 0;
                pthread_mutex_unlock(&p->mutex);
                /* Woken before that, a thread would sleep again for the mutex. */
                if (wake)
                        pthread_cond_signal(&p->changed);
                return;
        }
        pthread_mutex_unlock(&p->mutex);

        w->run(w);
        pthread_mutex_lock(&p->mutex);
        finish(p, w);
        pthread_mutex_unlock(&p->mutex);
}

size_t pool_pending(const Pool *p) {
        return p->pending;
}
