/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Failures here are the disk's: an append that fails is reported to who asked for it, the end of a message is tried
 * again every few seconds, and nothing in memory has changed meanwhile. */

#include "basic/fd.h"
#include "basic/log.h"
#include "queued/queued-event.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"

#define FINISH_BATCH_MAX 512U
#define FINISH_RETRY_USEC (5 * USEC_PER_SEC)

static void op_start(StoreOp *op);

void message_set_open(Manager *manager, Message *m, QueuedMessage *open, int content_fd) {
        assert(!m->open || !open);
        if (open) {
                m->open = open;
                manager->n_open++;
        }
        if (content_fd >= 0)
                m->content_fd = content_fd;
}

void message_forget_open(Manager *manager, Message *m) {
        m->content_fd = safe_close(m->content_fd);
        if (!m->open)
                return;
        manager->n_open--;
        queued_message_done(m->open);
        m->open = mfree(m->open);
}

/* A message that waits only for its turn stays open, if there are not too many of them: most are delivered at once. */
static void close_unused(Manager *manager, Message *m) {
        if (m->n_users == 0 && !m->op_running && (m->n_ready == 0 || manager->n_open > OPEN_MAX))
                message_forget_open(manager, m);
}

static void op_run(Work *w) {
        StoreOp *op = container_of(w, StoreOp, work);
        op->run(op);
}

static void op_done(Work *w) {
        StoreOp *op = container_of(w, StoreOp, work);
        Manager *manager = op->manager;
        Message *m = op->message;

        /* done() may ask for more operations but must not end the message while others wait. */
        m->op_running = false;
        StoreOp *next = m->ops;
        if (next) {
                m->ops = next->next;
                if (!m->ops)
                        m->last_op = &m->ops;
                m->op_running = true; /* holds the place: the order stays */
        }
        op->done(op);
        if (next)
                op_start(next);
        else if (m->damaged && m->n_users == 0 && !m->op_running) {
                message_unregister(manager, m);
                message_free(m);
                manager_status_changed(manager);
        } else {
                close_unused(manager, m);
                settle_resume(manager, m);
        }
        manager_kick(manager);
}

static void op_start(StoreOp *op) {
        op->message->op_running = true;
        op->work.run = op_run;
        op->work.done = op_done;
        pool_submit(op->manager->pool, &op->work);
}

void store_op_submit(Manager *manager, Message *m, StoreOp *op) {
        op->manager = manager;
        op->message = m;
        op->next = NULL;
        if (!m->op_running) {
                op_start(op);
                return;
        }
        *m->last_op = op;
        m->last_op = &op->next;
}

RecordSet *record_set_free(RecordSet *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++)
                free((char *) s->records[i].reply);
        free(s->records);
        return mfree(s);
}

int record_set_new(RecordSet **ret) {
        RecordSet *s = new0(RecordSet, 1);
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

int record_set_add(RecordSet *s, const Record *record) {
        Record copy = *record;

        if (s->n == s->allocated) {
                size_t allocated = MAX(2 * s->allocated, (size_t) 1);
                Record *p = reallocarray(s->records, allocated, sizeof(Record));
                if (!p)
                        return -ENOMEM;
                s->records = p;
                s->allocated = allocated;
        }
        if (copy.reply && !(copy.reply = strdup(copy.reply)))
                return -ENOMEM;
        s->records[s->n++] = copy;
        return 0;
}

typedef struct AppendOp {
        StoreOp op;
        RecordSet *records;
        bool sync;
        append_callback_t callback;
        void *userdata;
} AppendOp;

static void append_run(StoreOp *op) {
        AppendOp *a = container_of(op, AppendOp, op);

        op->r = op->message->open ? store_append(op->manager->store, op->message->open, a->records->records, a->records->n, a->sync)
                                  : -ESTALE;
}

static void append_done(StoreOp *op) {
        AppendOp *a = container_of(op, AppendOp, op);

        if (a->callback)
                a->callback(op->manager, op->message, a->userdata, op->r);
        record_set_free(a->records);
        free(a);
}

void message_append(Manager *manager, Message *m, RecordSet *records, bool sync, append_callback_t callback, void *userdata) {
        AppendOp *a = new0(AppendOp, 1);
        if (!a) {
                log_oom();
                record_set_free(records);
                if (callback)
                        callback(manager, m, userdata, -ENOMEM);
                return;
        }
        *a = (AppendOp) {
                .op = { .run = append_run, .done = append_done },
                .records = records,
                .sync = sync,
                .callback = callback,
                .userdata = userdata,
        };
        store_op_submit(manager, m, &a->op);
}

typedef struct OpenOp {
        StoreOp op;
        bool with_content;
        QueuedMessage *read;
        int content_fd;
        void (*callback)(Manager *, Message *, void *, int r);
        void *userdata;
} OpenOp;

/* What does not verify is put aside at once, for people to look at; nothing of it is delivered. */
static void check_damaged(StoreOp *op) {
        Message *m = op->message;

        if (op->r != -EBADMSG)
                return;
        int r = store_set_aside(op->manager->store, &m->id);
        if (r < 0 && r != -ENOENT) /* it stays, and is tried again */
                op->r = r;
}

static void open_run(StoreOp *op) {
        OpenOp *o = container_of(op, OpenOp, op);
        Message *m = op->message;

        if (!m->open) {
                o->read = new0(QueuedMessage, 1);
                if (!o->read) {
                        op->r = -ENOMEM;
                        return;
                }
                op->r = store_read(op->manager->store, &m->id, o->read);
                if (op->r < 0) {
                        o->read = mfree(o->read);
                        check_damaged(op);
                        return;
                }
        }
        if (o->with_content && m->content_fd < 0)
                op->r = store_open_content(op->manager->store, m->open ?: o->read, &o->content_fd);
        check_damaged(op);
}

static void open_done(StoreOp *op) {
        OpenOp *o = container_of(op, OpenOp, op);
        Message *m = op->message;

        message_set_open(op->manager, m, TAKE_PTR(o->read), TAKE_FD(o->content_fd));
        if (op->r == -EBADMSG && !m->damaged) {
                m->damaged = true;
                event_damaged(op->manager, m->id.s, "put aside in damaged/", op->r);
        } else if (op->r < 0)
                log_warning_errno(op->r, "Cannot read message %s in the spool: %m", m->id.s);
        o->callback(op->manager, m, o->userdata, op->r);
        if (op->r < 0)
                message_close(op->manager, m);
        free(o);
}

void message_open(Manager *manager, Message *m, bool with_content, void (*callback)(Manager *, Message *, void *, int r), void *userdata) {
        m->n_users++;
        if (m->open && (!with_content || m->content_fd >= 0) && !m->op_running) {
                callback(manager, m, userdata, 0);
                return;
        }
        OpenOp *o = new0(OpenOp, 1);
        if (!o) {
                log_oom();
                callback(manager, m, userdata, -ENOMEM);
                message_close(manager, m);
                return;
        }
        *o = (OpenOp) {
                .op = { .run = open_run, .done = open_done },
                .with_content = with_content,
                .content_fd = -EBADF,
                .callback = callback,
                .userdata = userdata,
        };
        store_op_submit(manager, m, &o->op);
}

void message_close(Manager *manager, Message *m) {
        assert(m->n_users > 0);
        m->n_users--;
        close_unused(manager, m);
}

typedef struct FinishBatch {
        Work work;
        Manager *manager;
        Message *messages[FINISH_BATCH_MAX];
        StoreFinished items[FINISH_BATCH_MAX];
        size_t n;
        int r;
} FinishBatch;

static void finish_start(Manager *manager);

static void finish_run(Work *w) {
        FinishBatch *b = container_of(w, FinishBatch, work);
        b->r = store_finish(b->manager->store, b->items, b->n);
}

static void finish_queue(Manager *manager, Message *m) {
        m->next_finished = manager->finished;
        manager->finished = m;
}

static int on_finish_retry(sd_event_source *s, uint64_t usec _unused_, void *userdata) {
        sd_event_source_unref(s);
        finish_start(userdata);
        return 0;
}

static void finish_retry_later(Manager *manager) {
        sd_event_source *s = NULL;
        int r = sd_event_add_time_relative(manager->event, &s, CLOCK_BOOTTIME, FINISH_RETRY_USEC, USEC_PER_SEC, on_finish_retry, manager);
        if (r < 0)
                log_error_errno(r, "Cannot set a timer: %m");
}

static void finish_done(Work *w) {
        FinishBatch *b = container_of(w, FinishBatch, work);
        Manager *manager = b->manager;

        manager->finishing = NULL;
        if (b->r < 0) {
                log_error_errno(b->r, "Cannot record %zu finished messages in the spool, trying again: %m", b->n);
                for (size_t i = 0; i < b->n; i++)
                        finish_queue(manager, b->messages[i]);
                finish_retry_later(manager);
        } else {
                for (size_t i = 0; i < b->n; i++)
                        settle_finished(manager, b->messages[i]);
                finish_start(manager);
        }
        free(b);
        manager_kick(manager);
}

/* While one batch is synced the next gathers: the longer a sync takes, the more share the next. */
static void finish_start(Manager *manager) {
        if (manager->finishing || !manager->finished)
                return;

        FinishBatch *b = new0(FinishBatch, 1);
        if (!b) {
                log_oom();
                finish_retry_later(manager);
                return;
        }
        b->manager = manager;
        b->work = (Work) { .run = finish_run, .done = finish_done };
        while (manager->finished && b->n < FINISH_BATCH_MAX) {
                Message *m = manager->finished;

                manager->finished = TAKE_PTR(m->next_finished);
                b->messages[b->n] = m;
                b->items[b->n++] = (StoreFinished) { .id = m->id, .token = m->token };
        }
        manager->finishing = b;
        pool_submit(manager->pool, &b->work);
}

void message_finish(Manager *manager, Message *m) {
        assert(!m->finishing);
        m->finishing = true;
        finish_queue(manager, m);
        finish_start(manager);
}
