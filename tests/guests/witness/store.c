/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Xenstore (public/io/xs_wire.h): the ring as handed over, the domain's own directory in full, its devices, and by way
 * of the daemon's quotas what somebody left open in our name.
 */
#include "witness.h"

#define DEPTH 10
static volatile struct xenstore_domain_interface *ring;
static uint32_t store_port, next_id, events_seen;
static struct ring_snapshot requests_at_entry;
static uint32_t features_at_entry, connection_at_entry, error_at_entry;
static char payload[XENSTORE_PAYLOAD_MAX + 1];
static uint32_t payload_len;
static char domid[12];
static char home[40]; /* the domain's own directory */

void store_start(unsigned long mfn, uint32_t port)
{
    ring = window_map(SLOT_STORE, mfn, PTE_PRESENT | PTE_RW);
    if (!ring)
        give_up("xenstore page cannot be mapped");
    store_port = port;
    requests_at_entry = (struct ring_snapshot){ ring->req_cons, ring->req_prod, ring->rsp_cons, ring->rsp_prod };
    features_at_entry = ring->server_features;
    connection_at_entry = ring->connection;
    error_at_entry = ring->error;
    next_id = 0x77000001; /* unlike what a predecessor is likely to have used */
}

static void notify(void)
{
    struct evtchn_send send = { .port = store_port };

    event_op(EVTCHNOP_send, &send);
}

/* Waits until `ready` says so; 0 after ten seconds without. */
static int requests_room(void) { return ring->req_prod - ring->req_cons < XENSTORE_RING_SIZE; }
static int responses_there(void) { return ring->rsp_prod != ring->rsp_cons; }
static int wait_for(int (*ready)(void))
{
    unsigned waits;

    for (waits = 0; waits < 200; waits++) {
        if (ready())
            return 1;
        clear_pending(store_port);
        if (ready())
            return 1;
        sleep_ms(store_port, 50);
    }
    return 0;
}

static int put(const void *from, uint32_t bytes)
{
    const char *at = from;

    for (; bytes; bytes--) {
        if (!requests_room()) {
            notify();
            if (!wait_for(requests_room))
                return 0;
        }
        ring->req[MASK_XENSTORE_IDX(ring->req_prod)] = *at++;
        memory_fence();
        ring->req_prod++;
    }
    return 1;
}

static int get(void *to, uint32_t bytes)
{
    char *at = to;

    for (; bytes; bytes--) {
        if (!wait_for(responses_there))
            return 0;
        memory_fence();
        *at++ = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons)];
        memory_fence();
        ring->rsp_cons++;
    }
    notify();
    return 1;
}

/* One message from the daemon into `payload`; its type, or XS_INVALID when none comes. */
static uint32_t receive(uint32_t *id)
{
    struct xsd_sockmsg header;

    if (!get(&header, sizeof header) || header.len > XENSTORE_PAYLOAD_MAX || !get(payload, header.len))
        return XS_INVALID;
    payload[header.len] = 0;
    payload_len = header.len;
    *id = header.req_id;
    return header.type;
}

/* Asks with one or two NUL-terminated strings; the reply is in `payload`. Returns NULL, or the error's name. */
static const char *ask(uint32_t type, const char *first, const char *second)
{
    static char error[64];
    uint32_t id = next_id++, got, got_id = 0;
    uint32_t first_len = (uint32_t)length(first) + 1, second_len = second ? (uint32_t)length(second) + 1 : 0;
    struct xsd_sockmsg header = { type, id, 0, first_len + second_len };

    if (!put(&header, sizeof header) || !put(first, first_len) || (second && !put(second, second_len)))
        return "no room in the request ring";
    notify();
    for (;;) {
        got = receive(&got_id);
        if (got == XS_INVALID)
            return "no answer";
        if (got == XS_WATCH_EVENT) {
            events_seen++;
            continue;
        }
        if (got_id != id) {
            note("xenstore answer to somebody else's request: type %u id %x", UL(got), UL(got_id));
            say("store.foreign_answer=type %u", UL(got));
            continue;
        }
        if (got != XS_ERROR)
            return NULL;
        error[0] = 0;
        append(error, sizeof error, "%s", payload);
        return error;
    }
}

/* --- canonical values: what two boots of one configuration may differ in gets a name --- */

static int is_uuid(const char *at, size_t len)
{
    return len == 36 && at[8] == '-' && at[13] == '-' && at[18] == '-' && at[23] == '-';
}

static void canonical(const char *path, const char *value, char *out, size_t size)
{
    const char *at = value;

    out[0] = 0;
    if (same(path, "domid") || same(path, "name") || same(path, "console/tty") || same(path, "image/device-model-pid")) {
        append(out, size, value[0] ? "(%s of this boot)" : "(empty)%s", value[0] ? path : "");
        return;
    }
    if (same(path, "store/ring-ref") && parse_number(value) == start->store_mfn) {
        append(out, size, "(start_info's store_mfn)");
        return;
    }
    if (same(path, "console/ring-ref") && parse_number(value) == start->console.domU.mfn) {
        append(out, size, "(start_info's console mfn)");
        return;
    }
    if (value[0] != '/') {
        append(out, size, "%s", value);
        return;
    }
    /* A path: the domain's number and its UUID appear as components. */
    while (*at) {
        char component[300] = "";
        size_t len = 0;

        append(out, size, "/");
        at++;
        while (at[len] && at[len] != '/')
            len++;
        if (len < sizeof component) {
            memcpy(component, at, len);
            component[len] = 0;
        }
        append(out, size, "%s", same(component, domid) ? "(domid)" : is_uuid(component, len) ? "(uuid)" : component);
        at += len;
    }
}

/* --- directories --- */

struct names { char text[XENSTORE_PAYLOAD_MAX + 1]; unsigned short at[512]; unsigned count; };

static int before(const char *a, const char *b)
{
    unsigned long x = parse_number(a), y = parse_number(b);

    return x != y ? x < y : compare_text(a, b) < 0;
}

/* The sorted names in directory `path`; NULL on success. */
static const char *list(const char *path, struct names *names)
{
    const char *error = ask(XS_DIRECTORY, path, NULL);
    unsigned at, i;

    names->count = 0;
    if (error)
        return error;
    memcpy(names->text, payload, payload_len + 1);
    for (at = 0; at < payload_len && names->count < 512; at += (unsigned)length(names->text + at) + 1) {
        for (i = names->count++; i && before(names->text + at, names->text + names->at[i - 1]); i--)
            names->at[i] = names->at[i - 1];
        names->at[i] = (unsigned short)at;
    }
    return NULL;
}

static void report_permissions(const char *path, const char *name)
{
    const char *error = ask(XS_GET_PERMS, path, NULL);
    char text[400] = "";
    uint32_t at;

    /* Entries are a letter and a domain number each; the owner is first. */
    for (at = 0; !error && at < payload_len; at += (uint32_t)length(payload + at) + 1) {
        char letter[2] = { payload[at], 0 };
        append(text, sizeof text, " %s:%s", letter, same(payload + at + 1, domid) ? "(domid)" : payload + at + 1);
    }
    say("permissions/%s=%s", name, error ? error : text + 1);
}

/* Everything below `path`, an absolute path of which `home` is the start. */
static void report_tree(const char *path, unsigned depth)
{
    static struct names levels[DEPTH];
    static char value[2 * XENSTORE_PAYLOAD_MAX];
    char child[512];
    unsigned i;
    const char *error, *name;

    error = list(path, &levels[depth]);
    if (error) {
        say("store.directory=%s: %s", path + length(home), error);
        return;
    }
    for (i = 0; i < levels[depth].count; i++) {
        child[0] = 0;
        append(child, sizeof child, "%s/%s", path, levels[depth].text + levels[depth].at[i]);
        name = child + length(home) + 1;
        error = ask(XS_READ, child, NULL);
        if (!error)
            canonical(name, payload, value, sizeof value);
        say("store/%s=%s%s", name, error ? "error " : "", error ? error : value);
        report_permissions(child, name);
        if (depth + 1 < DEPTH)
            report_tree(child, depth + 1);
    }
}

/* One device: both states, and which keys the two ends have. */
static void report_device(const char *class, const char *id)
{
    static struct names keys;
    static const char *const shown[] = { "state", "online", "mode", "device-type", "hotplug-status", "frontend-id", NULL };
    char backend[300] = "", path[400] = "";
    const char *error;
    unsigned i;

    append(path, sizeof path, "device/%s/%s/backend", class, id);
    error = ask(XS_READ, path, NULL);
    if (error) {
        say("backend.%s.%s=error %s", class, id, error);
        return;
    }
    append(backend, sizeof backend, "%s", payload);
    for (i = 0; shown[i]; i++) {
        path[0] = 0;
        append(path, sizeof path, "%s/%s", backend, shown[i]);
        error = ask(XS_READ, path, NULL);
        say("backend.%s.%s.%s=%s", class, id, shown[i],
            error ? error : same(shown[i], "frontend-id") && same(payload, domid) ? "(domid)" : payload);
    }
    if ((error = list(backend, &keys))) {
        say("backend.%s.%s.keys=error %s", class, id, error);
        return;
    }
    for (i = 0; i < keys.count; i++)
        say("backend.%s.%s.key.%s=there", class, id, keys.text + keys.at[i]);
}

static void report_class(const char *class)
{
    static struct names devices;
    char path[100] = "";
    unsigned i;

    append(path, sizeof path, "device/%s", class);
    if (list(path, &devices))
        devices.count = 0;
    say("devices.%s=%u", class, UL(devices.count));
    for (i = 0; i < devices.count; i++)
        report_device(class, devices.text + devices.at[i]);
}

void report_store(void)
{
    static const char *const answers[] = { "name", "vm", "domid", NULL };
    const struct ring_snapshot *r = &requests_at_entry;
    const char *error = NULL;
    unsigned i;

    say("store.requests_unread=%u", UL(r->b - r->a));
    say("store.responses_unread=%u", UL(r->d - r->c));
    say("store.features=%x", UL(features_at_entry));
    say("store.connection=%x", UL(connection_at_entry));
    say("store.error=%x", UL(error_at_entry));
    for (i = 0; answers[i]; i++) {
        error = ask(XS_READ, answers[i], NULL);
        say("store.answers.%s=%s", answers[i], error ? error : "yes");
    }
    if (!error)
        append(domid, sizeof domid, "%s", payload);
    append(home, sizeof home, "/local/domain/%s", domid);
    report_tree(home, 0);
    report_class("vbd");
    report_class("vif");
    report_class("vfb");
    report_class("vkbd");
}

/* Nothing tells a client which watches and transactions it has open, but the daemon counts them against a quota: what is
 * missing from it was opened before us. Sockets of the daemon die with the domain, so nothing needs restoring. */
void report_store_leftovers(void)
{
    char token[16];
    const char *error = NULL;
    unsigned i;

    sleep_ms(store_port, 100);
    while (responses_there()) {
        uint32_t id;
        if (receive(&id) == XS_INVALID)
            break;
        events_seen++;
    }
    say("store.unexpected_events=%u", UL(events_seen));

    /* Transactions first: resetting watches ends them as well. */
    for (i = 0; i < 64; i++)
        if ((error = ask(XS_TRANSACTION_START, "", NULL)))
            break;
    say("store.transactions_until_quota=%u then %s", UL(i), error ? error : "no limit");
    for (i = 0; i < 1024; i++) {
        token[0] = 0;
        append(token, sizeof token, "w%u", UL(i));
        if ((error = ask(XS_WATCH, "domid", token)))
            break;
    }
    say("store.watches_until_quota=%u then %s", UL(i), error ? error : "no limit");
    error = ask(XS_RESET_WATCHES, "", NULL);
    say("store.reset_watches=%s", error ? error : "ok");
}

#ifdef WITNESS_VANDAL
/* See vandal.c: a watch, a transaction, a key, and a response nobody took. */
void vandalise_store(void)
{
    static const char one[] = "control/platform-feature-xs_reset_watches"; /* reads as "1" */
    struct xsd_sockmsg header = { XS_READ, next_id++, 0, sizeof one };

    if (ask(XS_WATCH, "data", "vandal") || ask(XS_TRANSACTION_START, "", NULL) || ask(XS_MKDIR, "data/vandal", NULL)
        || !put(&header, sizeof header) || !put(one, sizeof one))
        note("the vandal failed: xenstore");
    notify();
    wait_for(responses_there);
    sleep_ms(store_port, 200);
}
#endif
