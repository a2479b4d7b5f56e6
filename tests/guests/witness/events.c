/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The shared page, event channels, timers, virtual processors; and sleeping, which needs them.
 */
#include "witness.h"

#define WORD_BITS (8 * sizeof(xen_ulong_t))
#define WORDS (sizeof(xen_ulong_t) * 8)
#define PORTS (WORDS * WORD_BITS)

shared_info_t *shared;
static shared_info_t entry; /* as it was before anything was sent or waited for */
static int rest_zero;

void events_snapshot(void)
{
    shared = window_map(SLOT_SHARED, (uint64_t)start->shared_info >> 12, PTE_PRESENT | PTE_RW);
    if (!shared)
        give_up("shared_info cannot be mapped");
    entry = *shared;
    rest_zero = all_zero(shared + 1, (char *)shared + PAGE);
}

void clear_pending(uint32_t port)
{
    __sync_fetch_and_and(&shared->evtchn_pending[port / WORD_BITS], ~((xen_ulong_t)1 << port % WORD_BITS));
}

static int pending(uint32_t port)
{
    return shared->evtchn_pending[port / WORD_BITS] >> port % WORD_BITS & 1;
}

uint64_t now_ns(void)
{
    volatile struct vcpu_time_info *t = &shared->vcpu_info[0].time;
    uint32_t version, low, high, mul;
    uint64_t delta, base;

    do {
        version = t->version;
        barrier();
        asm volatile("rdtsc" : "=a"(low), "=d"(high));
        delta = ((uint64_t)high << 32 | low) - t->tsc_timestamp;
        delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
        mul = t->tsc_to_system_mul;
        base = t->system_time;
        barrier();
    } while (version & 1 || version != t->version);
    return base + ((delta & 0xffffffff) * mul >> 32) + (delta >> 32) * mul;
}

void sleep_ms(uint32_t port, unsigned ms)
{
    evtchn_port_t ports[1] = { port };
    struct sched_poll poll = { .nr_ports = port ? 1 : 0, .timeout = now_ns() + ms * 1000000ULL };

    set_xen_guest_handle(poll.ports, ports);
    sched_op(SCHEDOP_poll, &poll);
}

static const char *state_name(uint32_t status)
{
    static const char *const names[] = { "closed", "unbound", "interdomain", "pirq", "virq", "ipi" };

    return status < 6 ? names[status] : "unknown";
}

static void report_port(const char *name, uint32_t port)
{
    struct evtchn_status s = { .dom = DOMID_SELF, .port = port };
    long error = event_op(EVTCHNOP_status, &s);

    if (error)
        say("event.%s=error %d", name, error);
    else if (s.status == EVTCHNSTAT_interdomain)
        say("event.%s=port %u %s with domain %u, vcpu %u", name, UL(port), state_name(s.status),
            UL(s.u.interdomain.dom), UL(s.vcpu));
    else
        say("event.%s=port %u %s, vcpu %u", name, UL(port), state_name(s.status), UL(s.vcpu));
}

/* Every port Xen knows of, by state; ports other than console's and xenstore's are leftovers and named. */
static void report_ports(void)
{
    unsigned counts[6] = { 0 }, others = 0;
    uint32_t port;

    for (port = 0; port < PORTS; port++) {
        struct evtchn_status s = { .dom = DOMID_SELF, .port = port };
        if (event_op(EVTCHNOP_status, &s) || s.status > 5)
            continue; /* beyond what Xen has allocated */
        counts[s.status]++;
        if (s.status == EVTCHNSTAT_closed || port == start->store_evtchn || port == start->console.domU.evtchn)
            continue;
        if (others++ < 16)
            say("event.other=port %u %s", UL(port), state_name(s.status));
    }
    for (port = EVTCHNSTAT_unbound; port < 6; port++) /* closed ones: Xen's allocation granularity */
        say("event.count.%s=%u", state_name(port), UL(counts[port]));
    say("event.others=%u", UL(others));
}

static void report_bits(const char *name, const xen_ulong_t *words)
{
    char text[200] = "";
    unsigned count = 0;
    uint32_t port;

    for (port = 0; port < PORTS; port++)
        if (words[port / WORD_BITS] >> port % WORD_BITS & 1 && count++ < 16)
            append(text, sizeof text, " %u", UL(port));
    say("event.%s=%u%s%s", name, UL(count), count ? " ports:" : "", text);
}

void report_events(void)
{
    unsigned i, masked = 0, pending_vcpus = 0;
    xen_ulong_t selectors = 0;

    for (i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) {
        masked += entry.vcpu_info[i].evtchn_upcall_mask == 1;
        pending_vcpus += entry.vcpu_info[i].evtchn_upcall_pending != 0;
        selectors |= entry.vcpu_info[i].evtchn_pending_sel;
    }
    say("event.upcall_masked_vcpus=%u", UL(masked));
    say("event.upcall_mask.vcpu0=%u", UL(entry.vcpu_info[0].evtchn_upcall_mask));
    say("event.upcall_pending_vcpus=%u", UL(pending_vcpus));
    say("event.pending_selectors=%x", selectors);
    report_bits("pending", entry.evtchn_pending);
    report_bits("masked", entry.evtchn_mask);
    report_port("store", start->store_evtchn);
    report_port("console", start->console.domU.evtchn);
    report_ports();

    say("shared_info.wall_clock=%s", entry.wc_sec && !(entry.wc_version & 1) ? "set" : "not set");
    say("shared_info.max_pfn=%x", UL(entry.arch.max_pfn));
    say("shared_info.frame_list_list=%x", UL(entry.arch.pfn_to_mfn_frame_list_list));
    say("shared_info.nmi_reason=%x", UL(entry.arch.nmi_reason));
    say("shared_info.p2m_cr3=%x", UL(entry.arch.p2m_cr3));
    say("shared_info.p2m_vaddr=%x", UL(entry.arch.p2m_vaddr));
    say("shared_info.p2m_generation=%x", UL(entry.arch.p2m_generation));
    say("shared_info.cr2=%x", UL(entry.vcpu_info[0].arch.cr2));
    say("shared_info.rest=%s", rest_zero ? "zero" : "used");
}

static void report_virq(const char *name, uint32_t virq)
{
    struct evtchn_bind_virq bind = { .virq = virq, .vcpu = 0 };
    struct evtchn_close close;
    long error = event_op(EVTCHNOP_bind_virq, &bind);
    unsigned fired = 0, i;

    if (error) {
        say("virq.%s=error %d", name, error);
        return;
    }
    for (i = 0; i < 5; i++) {
        sleep_ms(bind.port, 30);
        fired |= (unsigned)pending(bind.port);
        clear_pending(bind.port);
    }
    close.port = bind.port;
    event_op(EVTCHNOP_close, &close);
    clear_pending(bind.port);
    say("virq.%s=free, %s within 150 ms", name, fired ? "fires" : "silent");
}

/* Binding fails when somebody left the VIRQ bound; an event without our asking means a timer was left running. */
void report_timer(void)
{
    uint64_t before = now_ns();

    report_virq("timer", VIRQ_TIMER);
    /* A domain starts with a periodic timer; without it only a one-shot that somebody left set can fire. */
    vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    report_virq("timer_not_periodic", VIRQ_TIMER);
    report_virq("debug", VIRQ_DEBUG);
    say("time.advances=%s", now_ns() > before ? "yes" : "no");
}

void report_vcpus(void)
{
    struct vcpu_runstate_info runstate = { .state = 99 };
    char text[200] = "";
    long up;
    unsigned vcpu;

    for (vcpu = 0; vcpu < XEN_LEGACY_MAX_VCPUS; vcpu++) {
        up = vcpu_op(VCPUOP_is_up, vcpu, NULL);
        if (up < 0)
            break;
        append(text, sizeof text, " %s", up ? "up" : "down");
    }
    say("vcpus=%u:%s", UL(vcpu), text);
    up = vcpu_op(VCPUOP_get_runstate_info, 0, &runstate);
    say("vcpu.runstate=%d, %s", up, runstate.state == RUNSTATE_running ? "running" : "not running");
}

/* Allowed once in a domain's life, so this comes last and shows that nobody did it before. */
void report_vcpu_info(void)
{
    static struct vcpu_info elsewhere __attribute__((aligned(64)));
    struct vcpu_register_vcpu_info where = {
        .mfn = p2m[(UL(&elsewhere) - VIRT_BASE) / PAGE],
        .offset = (uint32_t)(UL(&elsewhere) % PAGE),
    };
    long error = vcpu_op(VCPUOP_register_vcpu_info, 0, &where);

    say("vcpu_info=%s", error ? "was registered elsewhere, or cannot be" : "was in shared_info");
}
