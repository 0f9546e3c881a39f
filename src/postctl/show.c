/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pwd.h>
#include <unistd.h>

#include "basic/buf.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "basic/text.h"
#include "postctl/json.h"
#include "postctl/list.h"
#include "postctl/queue.h"
#include "postctl/screen.h"

static void print_if(const Postctl *p, const char *name, const char *value) {
        if (value)
                print_field(&p->terminal, COLOR_NONE, name, value);
}

static void print_origin(const Postctl *p, sd_json_variant *message) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r = 0;

        print_if(p, "Listener", json_string(message, "listener"));
        print_if(p, "Protocol", json_string(message, "protocol"));
        print_if(p, "Peer", json_string(message, "peerAddress"));
        print_if(p, "Login", json_string(message, "login"));
        if (sd_json_variant_by_key(message, "uid")) {
                uid_t uid = json_number(message, "uid");
                const struct passwd *user = getpwuid(uid);
                if (user)
                        r = buf_appendf(&b, "%s (uid %u)", user->pw_name, (unsigned) uid);
                else
                        r = buf_appendf(&b, "uid %u", (unsigned) uid);
                if (r >= 0)
                        print_if(p, "User", b.data);
        }
        print_if(p, "Unit", json_string(message, "unit"));
}

/* How deep below a recipient of the envelope; parents come before their children, so this ends. */
static unsigned depth(sd_json_variant *recipients, size_t i) {
        unsigned n = 0;

        for (;;) {
                sd_json_variant *parent = sd_json_variant_by_key(sd_json_variant_by_index(recipients, i), "parent");
                if (!sd_json_variant_is_unsigned(parent) || sd_json_variant_unsigned(parent) >= i || n >= 16)
                        return n;
                i = sd_json_variant_unsigned(parent);
                n++;
        }
}

static Color state_color(const char *state) {
        return STR_IN_SET(state, "failed", "expired")       ? COLOR_RED
               : STR_IN_SET(state, "delivered", "expanded") ? COLOR_GREEN
               : STR_IN_SET(state, "removed")               ? COLOR_GREY
                                                            : COLOR_NONE;
}

static void print_recipient(const Postctl *p, sd_json_variant *recipients, size_t i, bool held, usec_t now) {
        sd_json_variant *recipient = sd_json_variant_by_index(recipients, i);
        _cleanup_free_ char *address = text_sanitize(strempty(json_string(recipient, "address")), 1000);
        _cleanup_free_ char *state = text_sanitize(strempty(json_string(recipient, "state")), 20);
        _cleanup_free_ char *status = text_sanitize(strempty(json_string(recipient, "status")), 20);
        _cleanup_free_ char *reply = text_sanitize(strempty(json_string(recipient, "reply")), 4096);
        uint64_t tries = json_number(recipient, "tries"), attempted = json_number(recipient, "attempted");
        usec_t due = json_number(recipient, "due");
        int indent = 2 + 2 * (int) depth(recipients, i);
        char buffer[FORMAT_RELATIVE_MAX];

        if (!address || !state || !status || !reply)
                return;
        Color color = state_color(state);
        printf("%*s%" PRIu64 " %s  %s%s%s", indent, "", json_number(recipient, "index"), address,
               color_on(&p->terminal, color), state, color_off(&p->terminal, color));
        if (tries > 0)
                printf(", %" PRIu64 " attempt%s", tries, tries == 1 ? "" : "s");
        if (attempted > 0)
                printf(", the last %s", format_relative(buffer, now, attempted));
        if (recipient_is_pending(recipient) && !held)
                printf(", next %s", due <= now ? "now" : format_relative(buffer, now, due));
        putchar('\n');
        if (*status || *reply)
                printf("%*s%s%s%s%s%s\n", indent + 4, "", color_on(&p->terminal, COLOR_GREY), status,
                       *status && *reply ? " " : "", reply, color_off(&p->terminal, COLOR_GREY));
}

static void print_message(const Postctl *p, sd_json_variant *message) {
        sd_json_variant *recipients = sd_json_variant_by_key(message, "recipients");
        usec_t now = now_usec(CLOCK_REALTIME), arrival = json_number(message, "arrival");
        char time[FORMAT_TIME_MAX], relative[FORMAT_RELATIVE_MAX], size[FORMAT_SIZE_MAX];
        const char *sender = json_string(message, "sender");
        bool held = json_bool(message, "held");

        printf("%sMessage %s%s\n", color_on(&p->terminal, COLOR_BOLD), strempty(json_string(message, "id")),
               color_off(&p->terminal, COLOR_BOLD));
        print_if(p, "Sender", isempty(sender) ? "<>" : sender);
        printf("%*s: %s; %s\n", FIELD_WIDTH, "Arrived", format_time(time, arrival), format_relative(relative, now, arrival));
        print_if(p, "Size", format_size(size, json_number(message, "size")));
        print_origin(p, message);
        if (held) {
                const char *reason = json_string(message, "holdReason");
                _cleanup_free_ char *clean = text_sanitize(isempty(reason) ? "no reason given" : reason, 4096);
                printf("%*s: %sheld%s: %s\n", FIELD_WIDTH, "State", color_on(&p->terminal, COLOR_YELLOW),
                       color_off(&p->terminal, COLOR_YELLOW), strempty(clean));
        }
        printf("%*s:\n", FIELD_WIDTH, "Recipients");
        for (size_t i = 0; i < json_elements(recipients); i++)
                print_recipient(p, recipients, i, held, now);
}

int verb_show(Postctl *p, char **args) {
        _cleanup_(id_list_done) IdList ids = {};
        bool failed = false;
        int r;

        r = queue_resolve(p, args, &ids, &failed);
        for (size_t i = 0; i < ids.n && r >= 0; i++) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *message = NULL;

                r = queue_show(p, ids.items[i].s, &message);
                if (r < 0)
                        break;
                if (r > 0) {
                        failed = true;
                        continue;
                }
                if (given(p, OPTION_JSON)) {
                        r = json_print(stdout, message);
                        if (r < 0)
                                return log_error_errno(r, "Failed to print message %s: %m", ids.items[i].s);
                } else {
                        if (i > 0)
                                putchar('\n');
                        print_message(p, message);
                }
        }
        return r < 0 ? r : failed;
}

static int copy_content(int fd, bool to_screen) {
        char buffer[16 * 1024];
        _cleanup_(screen_done) Screen screen = SCREEN_INIT(stdout);
        uint64_t offset = 0;
        int r = 0;

        for (;;) {
                ssize_t n = pread_full(fd, buffer, sizeof(buffer), offset);
                if (n < 0)
                        return n;
                if (n == 0)
                        break;
                if (to_screen)
                        r = screen_write(&screen, buffer, n);
                else if (fwrite(buffer, 1, n, stdout) != (size_t) n)
                        r = -EIO;
                if (r < 0)
                        return r;
                offset += n;
        }
        if (to_screen)
                r = screen_flush(&screen);
        return fflush(stdout) != 0 ? negative_errno() : r;
}

int verb_cat(Postctl *p, char **args) {
        _cleanup_(id_list_done) IdList ids = {};
        bool failed = false;
        int r;

        r = queue_resolve(p, args, &ids, &failed);
        for (size_t i = 0; i < ids.n && r >= 0; i++) {
                _cleanup_close_ int fd = -EBADF;

                r = queue_content(p, ids.items[i].s, &fd);
                if (r < 0)
                        break;
                if (r > 0) {
                        failed = true;
                        continue;
                }
                r = copy_content(fd, p->terminal.tty);
                if (r < 0)
                        return log_error_errno(r, "Failed to print message %s: %m", ids.items[i].s);
        }
        return r < 0 ? r : failed;
}
