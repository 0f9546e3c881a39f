/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Logging of programs; libraries do not log, they return errors.
 *
 * Until log_open() (or when stderr is a terminal or a pipe) messages go to stderr as text. log_open() sends them to the
 * journal from a thread of its own over a bounded ring: a journal that hangs never delays mail. What does not fit
 * is counted and reported when there is room again. Control characters in text from outside never reach the log
 * as they are; fields are sent with their length, so no value can forge another field. */

#include <syslog.h>
#include "basic/macro.h"
#include "basic/message-ids.h" /* IWYU pragma: export */

/* Name for stderr and SYSLOG_IDENTIFIER; must stay. Does not start the thread. */
void log_setup(const char *identifier);

/* To the journal if stderr is connected to it ($JOURNAL_STREAM), with the thread. 0 or -errno (stderr is used then). */
int log_open(void);

/* Waits up to a second for the ring to drain and stops the thread. */
void log_close(void);

/* LOG_INFO at start; messages above are dropped. Names as in syslog(3): "debug" … "emerg". */
void log_set_max_level(int level);
int log_get_max_level(void);
int log_level_from_string(const char *s);
const char *log_level_to_string(int level);

/* Always returns error (negative or 0). */
int log_full_errno(int level, int error, const char *format, ...) _printf_(3, 4);

/* Evaluates to -|error|; "%m" in the format is that error. */
#define log_errno(level, error, ...)                                                          \
        ({                                                                                    \
                int _e = (error);                                                             \
                log_get_max_level() >= (level) ? log_full_errno((level), _e, __VA_ARGS__)     \
                                               : -(_e < 0 ? -_e : _e);                        \
        })
#define log_error_errno(error, ...) log_errno(LOG_ERR, (error), __VA_ARGS__)
#define log_warning_errno(error, ...) log_errno(LOG_WARNING, (error), __VA_ARGS__)
#define log_notice_errno(error, ...) log_errno(LOG_NOTICE, (error), __VA_ARGS__)
#define log_debug_errno(error, ...) log_errno(LOG_DEBUG, (error), __VA_ARGS__)
#define log_error(...) ((void) log_errno(LOG_ERR, 0, __VA_ARGS__))
#define log_warning(...) ((void) log_errno(LOG_WARNING, 0, __VA_ARGS__))
#define log_notice(...) ((void) log_errno(LOG_NOTICE, 0, __VA_ARGS__))
#define log_info(...) ((void) log_errno(LOG_INFO, 0, __VA_ARGS__))
#define log_debug(...) ((void) log_errno(LOG_DEBUG, 0, __VA_ARGS__))
#define log_oom() log_error_errno(ENOMEM, "Out of memory.")

/* An event with its id and fields; fields with a NULL value are left out. Field names are ours, values anybody's. */
typedef struct LogField {
        const char *name;
        const char *value;
} LogField;

void log_event_full(int level, const char *message_id, const LogField *fields, size_t n, const char *format, ...)
        _printf_(5, 6);
#define log_event(level, message_id, fields, ...) \
        log_event_full((level), (message_id), (fields), ELEMENTSOF(fields), __VA_ARGS__)

/* A line about the configuration (of config_load() and its like), with the event's id if it is an error. userdata is not
 * used: this can be passed as their report(). */
void log_config_report(int level, const char *line, void *userdata);
