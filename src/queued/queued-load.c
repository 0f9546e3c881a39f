/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The thread hands over pieces of a few hundred messages, so that neither the loop stalls nor the memory of all of them is
 * needed twice. A message that cannot be read is reported and stays where it is. */

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "queued/queued-event.h"
#include "queued/queued-load.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"

#define PIECE 256U

typedef struct Damage {
        struct Damage *next;
        char *file_name, *action;
        int error;
} Damage;

struct Loader {
        Manager *manager;
        RetryClock clock;
        sd_event_source *source;
        int event_fd;
        Work work;
        int r;

        pthread_mutex_t mutex;
        pthread_cond_t taken;
        Message *loaded;         /* linked by next_finished */
        size_t n_loaded;
        Damage *damages;
        bool stop;

        Map own;                 /* ids made by this process, as strings */
        size_t n_messages;
        usec_t begun;
};

static int on_found(const QueueId *id, void *userdata) {
        Loader *l = userdata;
        QueuedMessage q = QUEUED_MESSAGE_INIT;
        Message *m = NULL;
        int r;

        r = store_read(l->manager->store, id, &q);
        if (r == -ENOENT || r == -EUCLEAN) /* being written or finished at this moment by this very process */
                return 0;
        if (r >= 0)
                r = message_new(&q, &l->clock, &m);
        if (r >= 0) {
                /* Nobody knows how far an attempt had come. Due times are read again when it is scheduled. */
                for (Recipient *i = m->recipients; i; i = i->next) {
                        i->repeated = true;
                        i->job.due = q.recipients[i->index].due;
                }
        }
        queued_message_done(&q);
        if (r < 0)
                return log_error_errno(r, "Cannot read message %s from the spool: %m", id->s), 0;

        pthread_mutex_lock(&l->mutex);
        m->next_finished = l->loaded;
        l->loaded = m;
        if (l->n_loaded++ == 0)
                (void) eventfd_write(l->event_fd, 1);
        while (l->n_loaded >= PIECE && !l->stop)
                pthread_cond_wait(&l->taken, &l->mutex);
        bool stop = l->stop;
        pthread_mutex_unlock(&l->mutex);
        return stop ? -ECANCELED : 0;
}

static void on_damaged(const char *file_name, int error, const char *action, void *userdata) {
        Loader *l = userdata;
        Damage *d = new0(Damage, 1);

        if (!d)
                return;
        d->file_name = strdup(strempty(file_name));
        d->action = strdup(strempty(action));
        d->error = error;
        pthread_mutex_lock(&l->mutex);
        d->next = l->damages;
        l->damages = d;
        pthread_mutex_unlock(&l->mutex);
}

static void load_run(Work *w) {
        Loader *l = container_of(w, Loader, work);
        StoreScan scan = { .found = on_found, .damaged = on_damaged, .userdata = l };

        l->r = store_scan(l->manager->store, &scan);
}

static void take_message(Loader *l, Message *m, const RetryClock *now) {
        Manager *manager = l->manager;
        int r;

        if (map_get(&l->own, m->id.s) || map_get(&manager->messages, m->id.s)) {
                message_free(m);
                return;
        }
        r = message_register(manager, m);
        if (r < 0) {
                log_oom();
                message_free(m);
                return;
        }
        l->n_messages++;
        if (m->n_recipients == 0) {
                /* Everything had been done but its end. */
                message_finish(manager, m);
                return;
        }
        RetryPolicy policy = manager_retry_policy(manager);
        for (Recipient *i = m->recipients; i; i = i->next) {
                usec_t due = i->job.due;
                i->job.due = 0;
                recipient_wait(manager, i, due == 0 ? now->boottime : retry_due_boottime(due, policy.retry_max, now));
        }
}

static void take(Loader *l) {
        RetryClock now = manager_clock();

        pthread_mutex_lock(&l->mutex);
        Message *m = TAKE_PTR(l->loaded);
        Damage *d = TAKE_PTR(l->damages);
        l->n_loaded = 0;
        pthread_cond_signal(&l->taken);
        pthread_mutex_unlock(&l->mutex);

        while (m) {
                Message *next = TAKE_PTR(m->next_finished);
                take_message(l, m, &now);
                m = next;
        }
        while (d) {
                Damage *next = d->next;
                event_damaged(l->manager, d->file_name, d->action, d->error);
                free(d->file_name);
                free(d->action);
                free(d);
                d = next;
        }
        manager_status_changed(l->manager);
        manager_kick(l->manager);
}

static int on_event(sd_event_source *s _unused_, int fd, uint32_t revents _unused_, void *userdata) {
        eventfd_t value;

        (void) eventfd_read(fd, &value);
        take(userdata);
        return 0;
}

static void load_done(Work *w) {
        Loader *l = container_of(w, Loader, work);
        Manager *manager = l->manager;
        char buffer[FORMAT_TIMESPAN_MAX];

        take(l);
        if (l->r < 0 && l->r != -ECANCELED)
                log_error_errno(l->r, "Cannot read the whole spool: %m");
        else if (l->n_messages > 0)
                log_info("Read %zu messages from the spool in %s.", l->n_messages,
                         format_timespan(buffer, sizeof(buffer), now_usec(CLOCK_BOOTTIME) - l->begun));
        manager->loader = loader_free(l);
        manager_status_changed(manager);
}

int loader_remember(Loader *l, const QueueId *id) {
        char *copy = strdup(id->s);
        int r = copy ? map_put(&l->own, copy, copy) : -ENOMEM;
        if (r < 0)
                free(copy);
        return r;
}

int loader_start(Manager *manager) {
        Loader *l = new0(Loader, 1);
        int r;

        if (!l)
                return -ENOMEM;
        l->manager = manager;
        l->clock = manager_clock();
        l->begun = l->clock.boottime;
        pthread_mutex_init(&l->mutex, NULL);
        pthread_cond_init(&l->taken, NULL);
        l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->event_fd < 0)
                r = negative_errno();
        else
                r = sd_event_add_io(manager->event, &l->source, l->event_fd, EPOLLIN, on_event, l);
        if (r < 0) {
                loader_free(l);
                return r;
        }
        manager->loader = l;
        l->work = (Work) { .run = load_run, .done = load_done };
        pool_submit(manager->pool, &l->work);
        return 0;
}

/* The thread has ended, or is told to by loader_stop() before the pool is freed. */
Loader *loader_free(Loader *l) {
        char *id;

        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->source);
        safe_close(l->event_fd);
        MAP_FOREACH(id, &l->own)
                free(id);
        map_done(&l->own);
        while (l->loaded) {
                Message *next = l->loaded->next_finished;
                message_free(l->loaded);
                l->loaded = next;
        }
        pthread_cond_destroy(&l->taken);
        pthread_mutex_destroy(&l->mutex);
        return mfree(l);
}

void loader_stop(Loader *l) {
        pthread_mutex_lock(&l->mutex);
        l->stop = true;
        pthread_cond_signal(&l->taken);
        pthread_mutex_unlock(&l->mutex);
}
